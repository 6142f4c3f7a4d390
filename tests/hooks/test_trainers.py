"""Callbacks of trainers: called in the order in which those of Hugging Face and Lightning were seen to call."""

import importlib
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from landscape.checkpoint import read
from landscape.hooks import Recorder

X = torch.linspace(-1, 1, 48).reshape(16, 3)
Y = (X.sum(1) > 0).long()


def network():
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 2))


def names(folder):
    return [int(path.stem.partition("-")[2]) for path in sorted(folder.glob("*.pt"))]


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def train(model):
    """Return a function that makes a step of the optimizer, and one of half a batch that only adds to the gradient."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def half(part):
        loss = nn.functional.cross_entropy(model(X[part::2]), Y[part::2]) / 2
        loss.backward()
        return loss.detach()

    def step():
        optimizer.step()
        optimizer.zero_grad()

    return half, step


def hugging_face(model, callback, *, start=0, epochs=3, per_epoch=5, stop=None, best=None):
    """Call as ``transformers.Trainer`` 5.23 does: log and evaluate after the end of a step or epoch."""
    args = SimpleNamespace(load_best_model_at_end=best is not None)
    state = SimpleNamespace(global_step=start, epoch=start / per_epoch or None, best_model_checkpoint=best and "best")
    control = SimpleNamespace(should_training_stop=False)
    half, step = train(model)

    def call(event, **more):
        assert getattr(callback, event)(args, state, control, model=model, optimizer=None, **more) is None

    call("on_init_end")
    call("on_train_begin")
    for epoch in range(start // per_epoch, epochs):
        call("on_epoch_begin")
        for batch in range(per_epoch if epoch > start // per_epoch else per_epoch - start % per_epoch):
            call("on_step_begin")
            half(0)
            call("on_substep_end")
            half(1)
            call("on_pre_optimizer_step")
            step()
            call("on_optimizer_step")
            state.global_step += 1
            state.epoch = epoch + (batch + 1 + (start % per_epoch if epoch == start // per_epoch else 0)) / per_epoch
            control.should_training_stop = state.global_step == epochs * per_epoch
            call("on_step_end")
            if state.global_step == stop:
                raise KeyboardInterrupt
        call("on_epoch_end")
        call("on_evaluate", metrics={"eval_loss": 0.5})
        call("on_log", logs={"loss": float(epoch), "epoch": state.epoch, "note": "text"})
    if best is not None:
        model.load_state_dict(best)
    call("on_train_end")


def lightning(model, callback, *, start=0, epochs=3, per_epoch=5, average=None):
    """Call as ``lightning.pytorch.Trainer`` 2.6 does, with two batches to a step; epochs count when hooks are done."""
    trainer = SimpleNamespace(
        global_step=start, current_epoch=start // per_epoch, max_epochs=epochs, max_steps=-1, should_stop=False,
        num_training_batches=2 * per_epoch, accumulate_grad_batches=2, callback_metrics={},
    )  # fmt: skip
    module = nn.ModuleDict({"net": model})
    half, step = train(model)

    def call(event, *more):
        getattr(callback, event)(trainer, module, *more)

    callback.setup(trainer, module, stage="fit")
    for event in ("on_fit_start", "on_sanity_check_start", "on_validation_start", "on_sanity_check_end"):
        call(event)
    call("on_train_start")
    for _ in range(trainer.current_epoch, epochs):
        call("on_train_epoch_start")
        for batch in range(2 * per_epoch):
            call("on_train_batch_start", None, batch)
            loss = half(batch % 2)
            if batch % 2:
                step()
                trainer.global_step += 1
            call("on_train_batch_end", {"loss": loss}, None, batch)
        trainer.callback_metrics = {"val_accuracy": torch.tensor(0.25)}
        call("on_train_epoch_end")
        trainer.current_epoch += 1
    if average is not None:
        model.load_state_dict(average)
    for event in ("on_train_end", "on_fit_end", "teardown"):
        call(event, *(["fit"] if event == "teardown" else []))


LOOPS = {"huggingface": hugging_face, "lightning": lightning}


@pytest.fixture(params=LOOPS)
def kind(request):
    return request.param


def recorded(kind, output, model, **knobs):
    recorder = Recorder(model, output, every="2 steps", keep=None)
    LOOPS[kind](model, getattr(recorder, kind)(), **knobs)
    return recorder


def test_a_trainer_leaves_what_a_loop_leaves(kind, tmp_path):
    model, other = network(), network()
    recorder = recorded(kind, tmp_path / "run.pt", model)
    half, step = train(other)
    torch.manual_seed(5)
    network()
    for _ in range(15):
        half(0), half(1), step()
    assert equal(model.state_dict(), other.state_dict())
    assert recorder.problems == []
    assert names(recorder.folder) == [0, 2, 4, 6, 8, 10, 12, 14, 15]
    found = read(recorder.output)
    assert equal(found.state, model.state_dict())
    assert (found.training["steps"], found.training["epochs"]) == (15, 3)
    name, value = {"huggingface": ("loss", 2.0), "lightning": ("val_accuracy", 0.25)}[kind]
    assert found.training["metrics"][name] == value


def test_losses_of_accumulated_batches_are_whole(tmp_path):
    model = network()
    model[1].p = 0.0
    with torch.no_grad():
        first = float(nn.functional.cross_entropy(model(X), Y))
    recorder = Recorder(model, tmp_path / "run.pt", every="step", keep=None)
    lightning(model, recorder.lightning(), epochs=1)
    assert read(recorder.output).training["history"][1]["loss"] == pytest.approx(first, rel=1e-6)


def test_a_resumed_trainer_goes_on(kind, tmp_path):
    recorded(kind, tmp_path / "run.pt", network(), epochs=1)
    kept = (tmp_path / "run.trajectory" / "step-0000004.pt").stat().st_mtime_ns
    recorder = recorded(kind, tmp_path / "run.pt", network(), start=5)
    assert names(recorder.folder) == [0, 2, 4, 6, 8, 10, 12, 14, 15]
    assert (recorder.folder / "step-0000004.pt").stat().st_mtime_ns == kept


def test_the_last_iterate_is_not_the_best_nor_the_average(kind, tmp_path):
    plain, model = network(), network()
    recorded(kind, tmp_path / "plain.pt", plain)
    other = network().state_dict()
    recorder = recorded(kind, tmp_path / "run.pt", model, **{"best" if kind == "huggingface" else "average": other})
    assert equal(read(recorder.output).state, other)
    last = read(recorder.folder / "step-0000015.pt").state
    assert equal(last, plain.state_dict())


def test_a_trainer_that_is_stopped_leaves_a_whole_trajectory(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        recorded("huggingface", tmp_path / "run.pt", network(), stop=7)
    recorder = recorded("huggingface", tmp_path / "run.pt", network(), start=5)
    assert names(recorder.folder) == [0, 2, 4, 6, 8, 10, 12, 14, 15]


def test_an_exception_in_lightning_is_told(tmp_path, caplog):
    model = network()
    recorder = Recorder(model, tmp_path / "run.pt", every="2 steps")
    callback = recorder.lightning()
    callback.on_train_start(SimpleNamespace(global_step=0, current_epoch=0), model)
    callback.on_exception(None, model, RuntimeError("boom"))
    assert "stopped by RuntimeError" in caplog.text
    assert not recorder.output.exists()


def test_the_network_of_the_trainer_is_recorded(tmp_path, caplog):
    recorder = Recorder(network(), tmp_path / "run.pt", every="2 steps")
    trained = network()
    hugging_face(trained, recorder.huggingface())
    assert equal(read(recorder.output).state, trained.state_dict())
    assert "trains another network" in caplog.text


def test_callbacks_let_pass_what_they_do_not_know(kind):
    callback = getattr(Recorder(None), kind)()
    assert callback.on_whatever_comes_next(1, two=3) is None
    with pytest.raises(AttributeError, match="elsewhere"):
        callback.elsewhere  # noqa: B018


def test_a_trainer_keeps_the_state_of_its_callback(tmp_path):
    one, two = Recorder(None, tmp_path / "run.pt", step=7, epoch=2), Recorder(None, tmp_path / "run.pt")
    two.lightning().load_state_dict(one.lightning().state_dict())
    assert (two.steps, two.epochs) == (7, 2)
    assert one.lightning().state_key == two.lightning().state_key


def required(name):
    """Import a trainer's library, or skip: its other needs may be missing or broken where it is installed."""
    pytest.importorskip(name.partition(".")[0])
    try:
        return importlib.import_module(name)
    except Exception as error:
        pytest.skip(f"{name} cannot be imported here: {error}")


@pytest.mark.filterwarnings("default")
def test_transformers_itself(tmp_path):
    trainer = required("transformers.trainer")

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network()

        def forward(self, x, labels=None):
            logits = self.net(x)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    def trained(callbacks):
        model = Net()
        args = trainer.TrainingArguments(
            str(tmp_path / "args"), num_train_epochs=3, per_device_train_batch_size=2, gradient_accumulation_steps=2,
            report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no",
        )  # fmt: skip
        data = [{"x": x, "labels": y} for x, y in zip(X, Y, strict=True)]
        trainer.Trainer(model, args, train_dataset=data, callbacks=callbacks(model)).train()
        return model

    recorder = Recorder(None, tmp_path / "run.pt", every="epoch")
    model, plain = trained(lambda _: [recorder.huggingface()]), trained(lambda _: [])
    assert equal(model.state_dict(), plain.state_dict())
    assert equal(read(recorder.output).state, model.state_dict())
    assert names(recorder.folder) == [0, 1, 2, 3]
    assert recorder.problems == []


@pytest.mark.filterwarnings("default")
def test_lightning_itself(tmp_path):
    pl = required("lightning.pytorch")

    class Lit(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def training_step(self, batch, _):
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def trained(callbacks):
        net = network()
        data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=2, shuffle=True)
        pl.Trainer(
            max_epochs=3, accumulate_grad_batches=2, callbacks=callbacks(net), logger=False, accelerator="cpu",
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        ).fit(Lit(net), data)  # fmt: skip
        return net

    made = []
    net = trained(lambda net: [made.append(Recorder(net, tmp_path / "run.pt")) or made[0].lightning()])
    assert equal(net.state_dict(), trained(lambda _: []).state_dict())
    assert equal(read(made[0].output).state, net.state_dict())
    assert names(made[0].folder) == [0, 1, 2, 3]
    assert made[0].problems == []
