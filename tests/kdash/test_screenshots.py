from __future__ import annotations

import re

import pytest

from screenshots.draw import FOLDER, PICTURES, Picture, draw

README = FOLDER.parent / "README.md"


@pytest.mark.no_cover  # what is drawn is covered by the tests of each view
@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
async def test_the_picture_in_the_folder_is_current(picture: Picture) -> None:
    assert await draw(picture) == (FOLDER / f"{picture.name}.svg").read_text()


def test_there_is_no_picture_that_nothing_draws() -> None:
    assert {path.stem for path in FOLDER.glob("*.svg")} == {picture.name for picture in PICTURES}


def test_the_documents_show_pictures_that_exist() -> None:
    text = "".join(one.read_text() for one in (README, *README.parent.glob("docs/*.md")))
    names = re.findall(r"screenshots/([\w-]+)\.svg", text)
    assert names
    assert set(names) <= {picture.name for picture in PICTURES}
