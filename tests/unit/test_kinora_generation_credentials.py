"""Manifests: signed files of every kind read back; none, changed, expired and invalid are told apart."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("c2pa", reason="`pip install 'kinora[provenance]'`")

from certificates import write_certificate

from kinora.cli.main import main
from kinora.generation.credentials import ContentSigner, media_type, read_credentials, sidecar_of
from kinora.generation.files import new_file, write_media
from kinora.generation.sign_config import SignConfig
from video.frames import read_clip
from video.tags import read_tags

ENDINGS = ("mp4", "mov", "webm", "mkv", "gif", "png", "jpg")
TAGS = {"prompt": "a réd circle", "seed": str(2**70)}


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> SignConfig:
    return write_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def signer(config) -> ContentSigner:
    return ContentSigner(config)


def frames(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 48, 3), dtype=np.uint8)


def write(path: Path, signer: ContentSigner | None) -> Path:
    ending = path.suffix[1:]
    with new_file(path) as partial:
        write_media([frames(1 if ending in ("png", "jpg") else 5)], 8, ending, partial, TAGS)
        if signer is not None:
            signer.sign(partial, path, TAGS)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_signed_file_is_valid_and_shows_the_same(signer, tmp_path, ending):
    plain, signed = write(tmp_path / f"plain.{ending}", None), write(tmp_path / f"signed.{ending}", signer)
    assert read_credentials(plain).state == "none"
    found = read_credentials(signed)
    assert (found.state, found.signer, found.is_trusted) == ("valid", "Kinora tests", False)
    assert read_tags(signed)["prompt"] == read_tags(plain)["prompt"] == TAGS["prompt"]
    assert np.array_equal(read_clip(signed)[0], read_clip(plain)[0])
    beside = ending in ("webm", "mkv")
    assert sidecar_of(signed).exists() == beside
    assert (signed.read_bytes() == plain.read_bytes()) == beside
    assert {path.name for path in tmp_path.iterdir()} == {
        plain.name,
        signed.name,
        *([sidecar_of(signed).name] if beside else []),
    }


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_changed_file_is_told(signer, tmp_path, ending):
    path = write(tmp_path / f"a.{ending}", signer)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    assert read_credentials(path).state == "changed"


def test_an_authority_that_is_given_is_trusted(signer, config, tmp_path):
    path = write(tmp_path / "a.mp4", signer)
    authority = Path(config.certificate).with_name("authority.pem")
    assert read_credentials(path, trust=authority).is_trusted
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)
    changed = read_credentials(path, trust=authority)
    assert (changed.state, changed.is_trusted) == ("changed", True)
    other = write_certificate(tmp_path)
    assert not read_credentials(
        path, trust=Path(other.certificate or "").with_name("authority.pem")
    ).is_trusted


def test_a_certificate_that_has_run_out_is_told_from_a_change(tmp_path):
    """It signs for a few seconds, and is read after them."""
    short = write_certificate(tmp_path, until=datetime.now(UTC) + timedelta(seconds=4))
    path = write(tmp_path / "a.mp4", ContentSigner(short))
    while (state := read_credentials(path).state) == "valid":
        pass
    assert state == "expired"
    with pytest.raises(ValueError, match="cannot sign"):
        ContentSigner(short)


def test_a_certificate_that_readers_refuse_is_found_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match=r"cannot sign .*docs/serve\.md says what a certificate needs"):
        ContentSigner(write_certificate(tmp_path, usages=False))
    config = write_certificate(tmp_path)
    Path(config.key).write_text("no key")
    with pytest.raises(ValueError, match=r"sign\.key .*no private key"):
        ContentSigner(config)
    with pytest.raises(ValueError, match="belong together"):
        SignConfig(certificate="a.pem")


def test_a_file_that_cannot_be_signed_leaves_nothing(signer, tmp_path, monkeypatch):
    monkeypatch.setattr("kinora.generation.credentials.media_type", lambda path: "image/gif")
    with pytest.raises(ValueError, match=r"a\.mp4 cannot be signed"):
        write(tmp_path / "a.mp4", signer)
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_all_states(signer, tmp_path, capsys):
    signed, changed = write(tmp_path / "a.mp4", signer), write(tmp_path / "b.png", signer)
    content = bytearray(changed.read_bytes())
    content[-20] ^= 1
    changed.write_bytes(content)
    plain = write(tmp_path / "c.gif", None)
    for path, code, words in (
        (signed, 3, "valid: the file is as"),
        (changed, 4, "CHANGED"),
        (plain, 3, "none"),
    ):
        assert main(["provenance", str(path)]) == code, path
        assert words in capsys.readouterr().out
    assert media_type(signed) == "video/mp4"
