"""Several results in one file: what goes in comes out, and nothing that was not put there."""

from __future__ import annotations

from dataclasses import dataclass

import h5py
import numpy as np
import pytest

from landscape.result import Collection, Result, load, quantity


@dataclass(frozen=True, eq=False, repr=False)
class Height(Result):
    t: np.ndarray = quantity("position", "t")
    loss: np.ndarray = quantity("mean loss", "t", unit="nat")


def height(size: int = 3) -> Height:
    return Height(t=np.arange(size), loss=np.arange(size) / 7, origin={"size": size})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "several.h5"
    Collection(members={"sgd/w4/height": height(3), "sam": height(5)}, origin={"what": "test"}).save(path)
    return path


def test_members_of_any_shape_come_back_in_order(path):
    found = load(path)
    assert isinstance(found, Collection)
    assert found.origin == {"what": "test"}
    assert list(found.members) == ["sgd/w4/height", "sam"]
    for one, size in zip(found.members.values(), (3, 5), strict=True):
        assert isinstance(one, Height)
        assert one.origin == {"size": size}
        np.testing.assert_array_equal(one.loss, height(size).loss)
    assert "sgd/w4/height: Height" in repr(found)


def test_a_collection_may_be_empty(tmp_path):
    Collection().save(tmp_path / "empty.h5")
    assert load(tmp_path / "empty.h5").members == {}


def test_members_are_labelled_data_for_other_readers(path):
    import xarray

    with xarray.open_dataset(path, group="members/sgd/w4/height", engine="h5netcdf") as found:
        assert found.loss.dims == ("t",)
        np.testing.assert_array_equal(found.t, np.arange(3))


@pytest.mark.parametrize("name", ["", "a//b", "/a", "a/", "..", "a/./b", "a\0b"])
def test_a_name_must_name_every_part(name):
    with pytest.raises(ValueError, match="name every part"):
        Collection(members={name: height()})


def test_a_member_is_no_group_of_another():
    with pytest.raises(ValueError, match="'sgd/loss' within 'sgd'"):
        Collection(members={"sgd": height(), "sgd/loss": height()})


def test_a_member_is_a_single_result():
    for wrong in (Collection(), np.ones(3)):
        with pytest.raises(ValueError, match="single result"):
            Collection(members={"a": wrong})  # pyright: ignore


def damaged(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises((ValueError, OSError)) as error:
        load(path)
    assert str(path) in str(error.value)
    return str(error.value)


def test_a_member_that_is_gone_is_told(path):
    assert "members/sam" in damaged(path, lambda file: file["members"].__delitem__("sam"))


def test_a_link_to_another_file_is_not_followed(path, tmp_path):
    def change(file):
        del file["members/sam"]
        file["members/sam"] = h5py.ExternalLink(str(tmp_path / "elsewhere.h5"), "/")

    assert "inside the file" in damaged(path, change)
    assert not (tmp_path / "elsewhere.h5").exists()


def test_a_collection_within_itself_is_refused(path):
    def change(file):
        del file["members/sam"]
        file["members/sam"] = file["/"]

    assert "another kind" in damaged(path, change)


def test_a_member_of_another_kind_is_refused(path):
    assert "another kind" in damaged(path, lambda file: file["members/sam"].attrs.update(kind="Nothing"))


def test_a_name_out_of_the_group_is_refused(path):
    def change(file):
        file["member"][1] = "../sam"

    damaged(path, change)


def test_one_group_is_not_many_members(path):
    def change(file):
        file["members/one more"] = file["members/sam"]
        del file["member"]
        file["member"] = ["sam", "one more"]

    assert "once more" in damaged(path, change)
