"""Which texts are pictures: length, base64, format, and what is really in them."""

from __future__ import annotations

import base64
import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from twisted.trial.unittest import SynchronousTestCase

from realtime.messenger import pictures
from realtime.messenger.pictures import (
    AVATAR_BYTES,
    MOST_FRAMES,
    MOST_SCANS,
    NotAPicture,
    Picture,
    PictureRefused,
    PictureTooLarge,
    media_type,
    read,
    verify,
)
from tests.messenger.images import FORMATS, encoded, picture

PNG = picture("PNG")


class ReadTests(SynchronousTestCase):
    """From the text to the bytes."""

    def test_formats(self) -> None:
        """Each of the four is known by its bytes."""
        for form, kind in FORMATS.items():
            data = picture(form)
            self.assertEqual(read(encoded(data)), Picture(data, kind))

    def test_data_address(self) -> None:
        """A data: address is tolerated, and what it says of the type is not believed."""
        for address in (
            "data:image/png;base64,",
            "data:image/jpeg;base64,",
            "DATA:;BASE64,",
            "data:image/png;charset=utf-8;base64,",
        ):
            self.assertEqual(read(address + encoded(PNG)), Picture(PNG, "image/png"))

    def test_other_addresses(self) -> None:
        """One that is not base64, and one whose head does not end, are no pictures."""
        for text in ("data:image/png,", "data:" + "x" * 300 + ";base64,", "http://a/", "data:base64,"):
            self.assertRaises(NotAPicture, read, text + encoded(PNG))

    def test_line_breaks_and_padding(self) -> None:
        """Encoders that break lines, and those that leave the padding out, are understood."""
        for shade in range(3):
            data = picture("PNG", shade=shade) + b"x" * shade
            for text in (
                base64.encodebytes(data).decode(),
                encoded(data).rstrip("="),
                f"\r\n {encoded(data)} \n",
            ):
                self.assertEqual(read(text).data, data)

    def test_not_base64(self) -> None:
        """Strict otherwise: the standard alphabet, the padding at the end and whole."""
        good = encoded(PNG + b"\xfb\xff")
        self.assertTrue(good.endswith("+/8=") or "+" in good or "/" in good)
        for text in (
            good.replace("+", "-").replace("/", "_"),
            "=" + good,
            good + "====",
            good.rstrip("=") + "==" + "AAAA",
            good.rstrip("=")[:-2] + "=",
            "é" + good,
            good[:40] + "!" + good[41:],
            good[:40] + "\0" + good[41:],
            "\ud800",
        ):
            with self.subTest(text[:8]):
                self.assertRaises(NotAPicture, read, text)

    def test_nothing(self) -> None:
        """Nothing is no picture, nor is text or another format."""
        for data in (
            b"",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"BM" + bytes(60),
            b"RIFF1234WAVE",
            b"\x89PNG",
        ):
            self.assertRaises(NotAPicture, read, encoded(data))

    def test_length(self) -> None:
        """The bound counts decoded bytes, exactly, with and without padding and line breaks."""
        for most in (1000, 1001, 1002):
            data = PNG + bytes(most - len(PNG))
            for text in (encoded(data), encoded(data).rstrip("="), base64.encodebytes(data).decode()):
                self.assertEqual(len(read(text, most).data), most)
                self.assertRaises(PictureTooLarge, read, text, most - 1)

    def test_default_length(self) -> None:
        """524 288 bytes are let in, one more is not."""
        data = PNG + bytes(AVATAR_BYTES - len(PNG))
        self.assertEqual(len(read(encoded(data)).data), 524_288)
        self.assertRaises(PictureTooLarge, read, encoded(data + b"x"))

    def test_judged_before_it_is_decoded(self) -> None:
        """What is too long is refused as that, be it base64 or not, and nothing of it is decoded."""

        def decode(*arguments: object, **options: object) -> bytes:
            raise AssertionError("decoded")

        self.patch(pictures, "a2b_base64", decode)
        for text in ("A" * 2000, "!" * 2000, " " * 5000, "A" * 1400 + "=" * 10):
            self.assertRaises(PictureTooLarge, read, text, 1000)

    @settings(deadline=None)
    @given(
        st.text(max_size=60) | st.binary(max_size=60).map(encoded) | st.from_regex(r"\Adata:[a-z/;=]{0,30},A*")
    )
    def test_anything(self, text: str) -> None:
        """No text raises anything but a refusal."""
        with contextlib.suppress(PictureRefused):
            read(text, 40)

    def test_errors(self) -> None:
        """The codes are the document's and ours."""
        self.assertEqual(
            (PictureTooLarge.code, NotAPicture.code, pictures.PicturesUnavailable.code), ("1", "2", "3")
        )
        self.assertEqual(str(PictureTooLarge()), "The picture is too large.")


class VerifyTests(SynchronousTestCase):
    """What is really in the bytes."""

    def tearDown(self) -> None:
        """Pass over what Pillow warns of: trial asks for all warnings, the daemon for none of these."""
        self.flushWarnings()

    def verify(self, data: bytes) -> None:
        """Verify bytes as what they begin like."""
        kind = media_type(data)
        assert kind is not None
        verify(Picture(data, kind))

    def assert_refused(self, data: bytes) -> None:
        """They are no picture."""
        self.assertRaises(NotAPicture, self.verify, data)

    def test_good(self) -> None:
        """Pictures of all formats, still and moving."""
        for form in FORMATS:
            self.verify(picture(form))
        for form in ("PNG", "GIF", "WEBP"):
            self.verify(picture(form, frames=5))
        self.verify(picture("JPEG", 64, 64, progressive=True))

    def test_truncated(self) -> None:
        """A picture that ends before its last pixel is refused."""
        for form in FORMATS:
            data = picture(form, 64, 64, shade=7)
            for length in (12, 30, len(data) // 2, len(data) - 24):
                self.assert_refused(data[:length])

    def test_truncated_animation(self) -> None:
        """So is one whose last frame is cut: all frames are decoded."""
        for form in ("PNG", "GIF", "WEBP"):
            data = picture(form, 64, 64, frames=5)
            self.verify(data)
            self.assert_refused(data[: len(data) - len(data) // 6])

    def test_beginning_alone(self) -> None:
        """The first bytes of a format are not enough."""
        for beginning in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\x10\0\0\0WEBP"):
            self.assert_refused(beginning + b"<script>alert(1)</script>" * 10)

    def test_another_format_behind_the_bytes(self) -> None:
        """Only the decoder of the format that the bytes begin with is asked."""
        self.assertRaises(NotAPicture, verify, Picture(picture("GIF"), "image/png"))

    def test_pixels(self) -> None:
        """4096 by 4096 is let in; a picture of few bytes and more pixels is refused before it is decoded."""
        for form in ("PNG", "GIF"):
            self.verify(picture(form, 4096, 4096))
            for width, height in ((4096, 4097), (4096, 8192), (60_000, 60_000)):
                data = bytearray(picture(form))
                if form == "PNG":
                    data[16:24] = width.to_bytes(4) + height.to_bytes(4)
                else:
                    data[6:10] = width.to_bytes(2, "little") + height.to_bytes(2, "little")
                self.assert_refused(bytes(data))
        self.assert_refused(picture("JPEG", 8192, 2049))
        self.assert_refused(picture("WEBP", 8192, 2049))

    def test_frames(self) -> None:
        """Not more frames than are ever shown."""
        self.verify(picture("GIF", 2, 2, frames=MOST_FRAMES))
        for form in ("GIF", "PNG"):
            self.assert_refused(picture(form, 2, 2, frames=MOST_FRAMES + 1))

    def test_pixels_of_all_frames(self) -> None:
        """Many large frames are refused, though each alone is small enough."""
        self.patch(pictures, "MOST_PIXELS_IN_ALL", 5 * 100)
        for form in ("PNG", "GIF", "WEBP"):
            self.verify(picture(form, 10, 10, frames=5))
            self.assert_refused(picture(form, 10, 10, frames=6))

    def test_scans(self) -> None:
        """A JPEG that goes over its pixels again and again is refused before it is decoded."""
        data = picture("JPEG", 64, 64, progressive=True)
        scan = data[data.rindex(b"\xff\xda") : -2]
        more = MOST_SCANS - data.count(b"\xff\xda")
        self.verify(data[:-2] + scan * more + data[-2:])
        self.patch(pictures, "Image", None)
        self.assert_refused(data[:-2] + scan * (more + 1) + data[-2:])

    def test_decoder_that_fails(self) -> None:
        """Whatever a decoder raises, it is no picture, and the error tells nothing of it."""

        def fail(*arguments: object, **options: object) -> None:
            raise MemoryError("secret")

        self.patch(Image, "open", fail)
        error = self.assertRaises(NotAPicture, self.verify, PNG)
        self.assertEqual(str(error), NotAPicture.text)

    @settings(deadline=None)
    @given(
        st.sampled_from(["PNG", "JPEG", "GIF", "WEBP"]),
        st.sampled_from([1, 3]),
        st.lists(st.tuples(st.floats(0, 0.999), st.binary(max_size=4), st.integers(0, 4)), max_size=6),
    )
    def test_mutated(self, form: str, frames: int, changes: list[tuple[float, bytes, int]]) -> None:
        """Bytes that were changed, left out or put in: a picture or none, and nothing else."""
        data = picture(form, 16, 16, frames=1 if form == "JPEG" else frames)
        for where, inserted, left_out in changes:
            place = int(where * len(data))
            data = data[:place] + inserted + data[place + left_out :]
        with contextlib.suppress(NotAPicture):
            verify(read(encoded(data)))
