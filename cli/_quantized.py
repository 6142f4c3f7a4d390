"""How the weights of a quantized network are seen: the options about quantization."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from landscape.discovery import arguments, did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from landscape.checkpoint import Checkpoint
    from landscape.directions import Frame
    from landscape.objective import Objective
    from landscape.quantize.quantization import Quantization
    from landscape.quantize.scheme import Scheme
    from landscape.quantize.views import View

QUANTIZATION = Group("Quantization", sort_key=3)
NAMES = ("dequant", "latent", "requant", "smooth", "soft", "lattice", "bitplane", "fp")
ONLY = {"samples": "smooth", "temperature": "soft", "widths": "bitplane"}  # knobs of one surface each


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """Which surface of a quantized network a probe sees."""

    quantized: Annotated[str, Parameter(group=QUANTIZATION)] = "dequant"
    """The weights that are moved, and what is seen of them: dequant (the checkpoint as it is), latent (weights before
    rounding, rounded), requant (and calibrated anew at each point), smooth (mean over randomized rounding), soft (steps
    rounded off), lattice (deployed weights, by whole codes), bitplane (the plane through w and two widths), fp (weights
    before rounding, as they are). Random directions have the lengths of the weights before rounding, where these are
    known, so that widths compare."""
    samples: Annotated[int, Parameter(group=QUANTIZATION)] = 16
    "Of smooth: networks rounded at random, the same random numbers at every point."
    temperature: Annotated[float, Parameter(group=QUANTIZATION)] = 0.1
    "Of soft: the lower, the closer to rounding."
    widths: Annotated[str, Parameter(group=QUANTIZATION)] = "8,4,3,2"
    "Of bitplane: bits, separated by commas. 4 and 2 span the plane, or the coarsest and one that is far enough from w."
    acts: Annotated[str, Parameter(group=QUANTIZATION)] = "hard"
    "Of a checkpoint with quantized activations: hard (rounded), ste, dither or fp, which have derivatives."
    round: Annotated[str | None, Parameter(group=QUANTIZATION)] = None
    """Round the weights of a checkpoint of full precision first, to nearest: bits from 1 to 8, and knobs of the scheme
    after a colon, as in 4 or 4:family=narrow,calibration=minmax,channels=false."""

    @property
    def plane(self) -> bool:
        """Whether the surface brings its own axes."""
        return self.quantized == "bitplane"

    def check(self, flat: bool) -> None:
        """Look for what is plainly wrong before anything is loaded; `flat` says whether the probe draws planes.

        Raises
        ------
        ValueError
            If a name is unknown, or an option has nothing to do.
        """
        if self.quantized not in NAMES:
            raise ValueError(
                f"Expected --quantized among {', '.join(NAMES)}, got {self.quantized!r}"
                f"{did_you_mean(self.quantized, list(NAMES))}."
            )
        usual = Rounding()
        for name, surface in ONLY.items():
            if getattr(self, name) != getattr(usual, name) and self.quantized != surface:
                raise ValueError(
                    f"Expected --{name} with --quantized {surface} alone, got it with {self.quantized}: leave it out."
                )
        if self.plane and not flat:
            raise ValueError("Expected --quantized bitplane with landscape surface alone, since it is a plane: use fp.")
        if self.plane:
            self.bits()
        if self.scheme() is not None and self.quantized == "fp":
            raise ValueError("Expected --quantized other than fp with --round, got fp, which does not: leave it out.")

    def scheme(self) -> Scheme | None:
        """Read how weights are rounded first; None where they are not.

        Raises
        ------
        ValueError
            If it is no number of bits, or a knob does not exist or does not fit.
        """
        if self.round is None:
            return None
        from landscape.quantize.scheme import Scheme

        bits, _, knobs = self.round.partition(":")
        given = arguments(part.strip() for part in knobs.split(",") if part.strip())
        known = [field.name for field in fields(Scheme) if field.name != "bits"]
        if wrong := [name for name in given if name not in known]:
            raise ValueError(f"Expected --round with knobs among {', '.join(known)}, got {wrong[0]!r}: see quantize.")
        if not bits.strip().isdecimal():
            raise ValueError(f"Expected --round as in 4 or 4:calibration=minmax, got {self.round!r}: begin with bits.")
        return Scheme(int(bits), **given)

    def rounded(self, found: Checkpoint, model: nn.Module) -> Checkpoint:
        """Return a checkpoint with its weights rounded as `round` says, given a network with these weights.

        Raises
        ------
        ValueError
            If it is quantized already.
        """
        scheme = self.scheme()
        if scheme is None:
            return found
        if found.quantization is not None:
            raise ValueError(f"{found.path}: expected full precision for --round, got a quantized one: leave it out.")
        from landscape.ptq.ptq import ptq, schemes

        network, quantization = ptq(model, schemes(model, scheme))
        record = quantization.record | {"source": found.sha256}
        return replace(found, state=network.state_dict(), quantization=replace(quantization, record=record))

    def bits(self) -> list[int]:
        """Read the widths.

        Raises
        ------
        ValueError
            If they are not whole numbers from 1 to 8, two or more of them.
        """
        from landscape.quantize.scheme import HIGHEST, LOWEST

        words = [word.strip() for word in self.widths.split(",") if word.strip()]
        found = sorted({int(word) for word in words if word.isdecimal()}, reverse=True)
        if len(found) < 2 or len(found) != len(words) or not LOWEST <= found[-1] <= found[0] <= HIGHEST:
            raise ValueError(
                f"Expected --widths to be two or more different numbers of bits from {LOWEST} to {HIGHEST}, as in "
                f"8,4,3,2, got {self.widths!r}."
            )
        return found

    def seen(self, found: Checkpoint) -> Checkpoint:
        """Return a checkpoint at the weights that are moved: the quantized ones, or those before rounding.

        Raises
        ------
        ValueError
            If it is not quantized, does not know its weights before rounding, or has no quantized activations to look
            at otherwise.
        """
        from landscape import checkpoint
        from landscape.quantize.surfaces import FULL, LATENT

        known = found.quantization
        if known is None and self.quantized not in ("dequant", *FULL):
            raise ValueError(
                f"{found.path}: expected a quantized checkpoint for --quantized {self.quantized}, got one of full "
                f"precision: quantize it first with `landscape quantize {Path(found.path).name} --bits 4`."
            )
        if self.acts != "hard" and (known is None or not known.activations or self.quantized in FULL):
            raise ValueError(
                f"{found.path}: expected quantized activations for --acts {self.acts}, got those of full precision: "
                "leave it out."
            )
        if self.quantized in (*LATENT, "bitplane"):
            _tell_of_other_rounding(found)
        if self.quantized in FULL:
            return checkpoint.latent(found)
        return replace(found, state=checkpoint.latent(found).state) if self.quantized in LATENT else found

    def switched(self, model: nn.Module) -> nn.Module:
        """Let the activations of a network pass as `acts` says, and return it."""
        from landscape.quantize import activations

        activations.switch(model, self.acts)
        return model

    def view(self, found: Checkpoint, model: nn.Module) -> View | None:
        """Return what the weights are seen through; None where they are seen as they are."""
        if found.quantization is None:
            return None
        from landscape.quantize.layers import chosen
        from landscape.quantize.surfaces import view

        known = found.quantization
        axes = {n: a for n, a in chosen(model).items() if n in known.grids} if self.quantized == "requant" else None
        return view(self.quantized, known, axes, samples=self.samples, temperature=self.temperature)

    def frame(self, objective: Objective, model: nn.Module, known: Quantization | None) -> Frame:
        """Lay the plane through the weights and two of their quantizations; by the schemes that are known, if they are.

        Raises
        ------
        ValueError
            If nothing of the network is quantized, or the widths span no plane.
        """
        from landscape import directions
        from landscape.quantize.layers import chosen
        from landscape.quantize.surfaces import rounded, schemes

        own = objective.unpack(objective.theta)
        axes = {n: a for n, a in chosen(model).items() if known is None or n in known.grids}
        given = {} if known is None else schemes(known)
        found = {bits: objective.pack(rounded(own, axes, given, bits)) for bits in self.bits()}
        return directions.bitplane(objective, found)

    def refuse_axes(self, others: Sequence[Path], chosen: str | None, path: Sequence[Path]) -> None:
        """Refuse other axes beside those of the plane.

        Raises
        ------
        ValueError
            If there are any.
        """
        if others or chosen or path:
            raise ValueError(
                "Expected no other axes with --quantized bitplane, which goes through w and its quantizations: leave "
                "out other checkpoints, --directions and --trajectory."
            )

    def record(self) -> dict[str, Any] | None:
        """Return the options that matter as plain JSON; None for a checkpoint as it is."""
        if asdict(self) == asdict(Rounding()):
            return None
        kept = {"quantized", "acts", *(name for name, surface in ONLY.items() if surface == self.quantized)}
        kept |= {"round"} if self.round is not None else set()  # so do results from before there was a choice
        found = asdict(self) | {"widths": ",".join(map(str, self.bits())) if self.plane else self.widths}
        return {field.name: found[field.name] for field in fields(self) if field.name in kept}


def _tell_of_other_rounding(found: Checkpoint) -> None:
    """Warn where rounding the latent weights to the nearest does not give the network that is deployed."""
    known = found.quantization
    if known is None:
        return
    away, count = known.moved(found.state)
    if away:
        warnings.warn(
            f"{found.path}: {away} of {count} weights are not rounded to the nearest, but by "
            f"{known.record.get('rounding', 'its training')}; this surface rounds to the nearest, so that "
            "the network at its center is not the deployed one: look at --quantized dequant or lattice.", stacklevel=2,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BeforeRounding(Rounding):
    """The same for probes that round by themselves: they begin at the weights before rounding."""

    quantized: Annotated[str, Parameter(group=QUANTIZATION)] = "fp"
    "The weights to round: fp (those before rounding, of a quantized checkpoint), or dequant (the rounded ones)."
