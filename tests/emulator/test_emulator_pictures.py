"""Pictures: what goes in, what comes out, in which size, form and for how long."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import pytest
from emulator_api import Api, data_uri, opened, picture, task
from emulator_process import ROOT, EmulatorProcess
from emulator_receiver import Receiver
from PIL import Image

from airflow_provider_clarity.emulator.faults import Faults
from airflow_provider_clarity.emulator.runware_render import NotAPictureError, Renderer, Wanted, output_size
from airflow_provider_clarity.emulator.runware_tasks import Picture, Produced, World
from airflow_provider_clarity.emulator.runware_transfer import is_loopback
from airflow_provider_clarity.emulator.switches import Switches

FORMATS = {"JPG": "JPEG", "PNG": "PNG", "WEBP": "WEBP"}


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_picture_is_twice_as_large_and_in_the_asked_format(api: Api, name: str) -> None:
    """It decodes wholly, and its URL ends as its format does."""
    url = api.buy(outputFormat=name)["imageURL"]
    reply = api.http.get(url)
    made = opened(reply.content)
    assert (made.format, made.size) == (FORMATS[name], (48, 32))
    assert url.endswith(f".{name.lower()}")
    assert reply.headers["content-type"] == f"image/{FORMATS[name].lower()}"


def test_the_default_is_a_jpg_behind_a_url(api: Api) -> None:
    """As the model page says."""
    item = api.buy()
    assert opened(api.http.get(item["imageURL"]).content).format == "JPEG"
    assert not {"imageBase64Data", "imageDataURI"} & set(item)


def test_the_result_is_the_source_enlarged(api: Api) -> None:
    """A person sees a picture: a real photograph comes back as itself, not as a grey area."""
    source = (ROOT / "dags_examples" / "images" / "camera.png").read_bytes()
    made = opened(api.http.get(api.buy(image=data_uri(source))["imageURL"]).content).convert("L")
    original = opened(source).convert("L")
    assert made.size == (original.width * 2, original.height * 2)
    small = made.resize(original.size).tobytes()
    differences = [abs(a - b) for a, b in zip(small, original.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 4


@pytest.mark.parametrize("form", ["base64Data", "dataURI"])
def test_the_picture_comes_inline_where_asked(api: Api, form: str) -> None:
    """The other two output types, decodable as they are."""
    item = api.buy(outputType=form, outputFormat="PNG")
    assert "imageURL" not in item
    if form == "base64Data":
        body = base64.b64decode(item["imageBase64Data"], validate=True)
    else:
        head, _, data = item["imageDataURI"].partition(",")
        assert head == "data:image/png;base64"
        body = base64.b64decode(data, validate=True)
    assert opened(body).size == (48, 32)


def test_a_lower_quality_makes_a_smaller_file(api: Api) -> None:
    """The parameter reaches the encoder."""
    source = data_uri((ROOT / "dags_examples" / "images" / "camera.png").read_bytes())
    sizes = [
        len(api.http.get(api.buy(image=source, outputQuality=quality)["imageURL"]).content) for quality in (20, 99)
    ]
    assert sizes[0] * 2 < sizes[1]


def test_an_input_may_be_a_url_base64_or_an_earlier_result(api: Api, receiver: Receiver) -> None:
    """All forms that the model page names; the accounts know a URL without its query."""
    body = picture(10, 20)
    receiver.files["/in.png"] = body
    url = f"{receiver.url}/in.png"
    first = api.buy(inputs={"image": f"{url}?X-Goog-Signature=secret"})
    second = api.buy(inputs={"image": base64.b64encode(body).decode()})
    third = api.buy(inputs={"image": first["imageUUID"]})
    sizes = [opened(api.http.get(item["imageURL"]).content).size for item in (first, second, third)]
    assert sizes == [(20, 40), (20, 40), (40, 80)]
    sources = [purchase["source"] for purchase in api.emulator.accounts()["purchases"].values()]
    assert sources == [url, "base64", first["imageUUID"]]
    assert receiver.of("GET")[0].path.endswith("?X-Goog-Signature=secret")


@pytest.mark.parametrize(
    "image",
    [
        "http://127.0.0.1:9/nobody-serves-this.png",
        "https://example.com/picture.png",
        "bm90IGEgcGljdHVyZQ==",
        "no base64 either",
        "data:image/png,not-base64",
        "data:image/png;base64,",
        "6f9db95a-5568-4744-97ee-aa0c99991f7c",
        data_uri(picture()[:60]),
    ],
)
def test_an_input_that_cannot_be_had_fails_the_task_after_acceptance(api: Api, image: str) -> None:
    """failedToTransferImage, in the poll; nothing but loopback is asked for it."""
    error = api.buy(image=image)
    assert (error["code"], error["status"], error["parameter"]) == ("failedToTransferImage", "error", "inputs.image")
    assert "http" not in error["message"]


def test_an_input_that_is_refused_fails_the_task(api: Api, receiver: Receiver) -> None:
    """What an expired presigned URL looks like from the service."""
    receiver.files["/in.png"] = picture()
    receiver.status = 403
    assert api.buy(image=f"{receiver.url}/in.png")["code"] == "failedToTransferImage"


def test_a_turned_photograph_is_turned_first(api: Api) -> None:
    """EXIF orientation 6: what is 24 x 16 in the file is 16 x 24 for whoever looks at it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    item = api.buy(image=data_uri(picture(24, 16, "JPEG", exif=exif)))
    assert opened(api.http.get(item["imageURL"]).content).size == (32, 48)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_a_picture_of_any_mode_becomes_a_jpg(api: Api, tmp_path: Path, mode: str) -> None:
    """JPG knows no transparency, and Pillow enlarges not every mode; neither may surface as a failed task."""
    kind = "JPEG" if mode == "CMYK" else "PNG"
    Image.new(mode, (8, 8)).save(tmp_path / "in", kind)
    item = api.buy(image=base64.b64encode((tmp_path / "in").read_bytes()).decode())
    assert opened(api.http.get(item["imageURL"]).content).size == (16, 16)


def test_transparency_is_kept_where_the_format_can(api: Api, tmp_path: Path) -> None:
    """As the model page says of PNG and WEBP."""
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "in.png")
    item = api.buy(image=data_uri((tmp_path / "in.png").read_bytes()), outputFormat="PNG")
    assert opened(api.http.get(item["imageURL"]).content).mode == "RGBA"


@pytest.mark.parametrize(("multiple", "size"), [(1, (42, 30)), (8, (40, 24))])
def test_the_sides_may_be_cut_to_a_multiple(
    api: Api, emulator: EmulatorProcess, multiple: int, size: tuple[int, int]
) -> None:
    """Diffusion models often work in blocks of eight; whether this one shows it is unknown."""
    emulator.switches({"size_multiple": multiple})
    assert opened(api.http.get(api.buy(image=data_uri(picture(21, 15)))["imageURL"]).content).size == size


@pytest.mark.parametrize(
    ("source", "factor", "shrunk", "size"),
    [
        ((100, 50), 2, (100, 50), (200, 100)),
        ((2048, 2048), 2, (2048, 2048), (4096, 4096)),
        ((2048, 2048), 4, (1024, 1024), (4096, 4096)),
        ((3000, 1500), 2, (2048, 1024), (4096, 2048)),
        ((5000, 10), 2, (2048, 4), (4096, 8)),
        ((100, 50), 2.5, (100, 50), (250, 125)),
    ],
)
def test_above_4096_the_input_is_shrunk_first(
    source: tuple[int, int], factor: float, shrunk: tuple[int, int], size: tuple[int, int]
) -> None:
    """The documented silent limit; the second line of the table is its own example."""
    assert output_size(source, Wanted(factor=factor)) == (shrunk, size)


async def test_full_renders_each_cached_once_and_none_a_plain_picture(tmp_path: Path) -> None:
    """The three ways, by their files: a test of a thousand pictures must not cost a thousand renderings."""
    source, other = picture(12, 8), picture(12, 8, "WEBP")
    made: dict[str, list[Picture]] = {}
    for way in ("full", "cached", "none"):
        folder = tmp_path / way
        folder.mkdir()
        renderer = Renderer(folder, way)  # type: ignore[arg-type]
        made[way] = [await renderer.upscale(one, Wanted(format="PNG")) for one in (source, source, other)]
        with pytest.raises(NotAPictureError):
            await renderer.upscale(b"no picture", Wanted())
        renderer.close()
    files = {way: len({one.path for one in pictures}) for way, pictures in made.items()}
    assert files == {"full": 3, "cached": 2, "none": 1}
    for pictures in made.values():
        assert {opened(one.path.read_bytes()).size for one in pictures} == {(24, 16)}
    assert len(opened(made["none"][0].path.read_bytes()).getcolors() or []) == 1
    assert len(opened(made["full"][0].path.read_bytes()).getcolors() or []) > 1


def test_an_image_url_ends_with_its_time_to_live(tmp_path: Path) -> None:
    """At least 60 s by the documents, too long for a test: asked of the store behind the URL."""
    world = World(Switches(api_key="emulator-x"), Faults(), "http://127.0.0.1:1")
    found = Picture(tmp_path / "a.png", "image/png", (2, 2), (1, 1))
    now = time.monotonic()
    world.images |= {
        "a": Produced(found, now + 60, ""),
        "b": Produced(found, now - 0.001, ""),
        "c": Produced(found, None, ""),
    }
    assert [world.image(name) is not None for name in "abcd"] == [True, False, True, False]


def test_a_ttl_is_taken(api: Api) -> None:
    """A result with a time to live is there at first."""
    assert api.http.get(api.buy(ttl=60)["imageURL"]).status_code == 200


def test_an_unknown_image_url_is_404(api: Api) -> None:
    """A made-up UUID, and one whose path tries to leave."""
    base = api.buy()["imageURL"].rpartition("/")[0]
    for name in ("6f9db95a-5568-4744-97ee-aa0c99991f7c.jpg", "..%2f..%2fetc%2fpasswd"):
        assert api.http.get(f"{base}/{name}").status_code == 404


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:1/a", True),
        ("http://127.8.8.8/a", True),
        ("https://localhost/a", True),
        ("http://[::1]:1/a", True),
        ("http://10.0.0.1/a", False),
        ("http://127.0.0.1.example.com/a", False),
        ("http://localhost@example.com/a", False),
        ("http://[nothing/a", False),
    ],
)
def test_only_loopback_is_ever_spoken_to(url: str, loopback: bool) -> None:  # noqa: FBT001
    """Inputs, uploads and webhooks of a test never reach a real host."""
    assert is_loopback(url) is loopback


def test_a_synchronous_array_gives_every_picture(api: Api) -> None:
    """Three tasks, three results, each under its own UUID."""
    tasks = [task(data_uri(picture(8 * n, 8)), deliveryMethod="sync") for n in (1, 2, 3)]
    items: list[dict[str, Any]] = api.post(tasks).json()["data"]
    sizes = {item["taskUUID"]: opened(api.http.get(item["imageURL"]).content).size for item in items}
    assert sizes == {one["taskUUID"]: (16 * n, 16) for n, one in zip((1, 2, 3), tasks, strict=True)}
