"""Decide from the bytes of a packet whether decoding may begin there.

A container marks more packets as key frames than that: an HEVC or H.264 picture with an open GOP has leading
pictures that refer to the frames before it, and with intra refresh the picture is complete only some frames
later. Decoding may begin where every later frame, in decoding and in display order, refers to nothing before.
"""

from collections.abc import Iterator

AVC_IDR, AVC_PARAMETER_SETS = 5, (7, 8)
HEVC_IDR, HEVC_PARAMETER_SETS = (19, 20), (32, 33, 34)
"""NAL unit types of ITU-T H.264 table 7-1 and H.265 table 7-1."""
AV1_SEQUENCE_HEADER, AV1_FRAME_HEADER, AV1_FRAME = 1, 3, 6
"""OBU types of the AV1 bitstream specification, section 6.2.2."""
CODECS = ("h264", "hevc", "vp8", "vp9", "libdav1d", "av1", "mjpeg")
"""PyAV's names of the codecs whose entry points are known here."""


def is_entry_point(codec: str, extradata: bytes | None, packet: bytes) -> bool:
    """Return whether decoding may begin at `packet`, a packet of one whole frame.

    Args:
        codec: PyAV's name of the codec; False for one that is not in `CODECS`.
        extradata: the stream's header, which tells how NAL units are delimited.
    """
    if codec == "h264":
        return any(unit[0] & 0x1F == AVC_IDR for unit in _nal_units(codec, extradata, packet))
    if codec == "hevc":
        return any(_hevc_type(unit) in HEVC_IDR for unit in _nal_units(codec, extradata, packet))
    if codec == "mjpeg":
        return True
    if codec == "vp8":
        return bool(packet) and not packet[0] & 1
    if codec == "vp9":
        return _is_vp9_key_frame(packet)
    return codec in CODECS and _is_av1_key_frame(packet)


def changes_parameter_sets(codec: str, extradata: bytes | None, packet: bytes) -> bool:
    """Return whether `packet` carries a parameter set (H.264, HEVC) that is not in `extradata`."""
    if codec not in ("h264", "hevc"):
        return False
    for unit in _nal_units(codec, extradata, packet):
        kind = unit[0] & 0x1F if codec == "h264" else _hevc_type(unit)
        types = AVC_PARAMETER_SETS if codec == "h264" else HEVC_PARAMETER_SETS
        if kind in types and unit.rstrip(b"\0") not in (extradata or b""):
            return True
    return False


def _hevc_type(unit: bytes) -> int:
    return unit[0] >> 1 & 0x3F


def _nal_units(codec: str, extradata: bytes | None, packet: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a packet, which are delimited by their lengths or by start codes."""
    position = 4 if codec == "h264" else 21  # of lengthSizeMinusOne in avcC and hvcC (ISO/IEC 14496-15)
    if extradata and extradata[0] == 1 and len(extradata) > position:
        size = (extradata[position] & 3) + 1
        offset = 0
        while offset + size < len(packet):
            length = int.from_bytes(packet[offset : offset + size])
            yield packet[offset + size : offset + size + max(1, length)]
            offset += size + length
    else:
        yield from filter(None, packet.split(b"\0\0\1")[1:])


def _is_vp9_key_frame(packet: bytes) -> bool:
    """Parse the start of the uncompressed header: marker, profile, show_existing_frame, frame_type."""
    if not packet or packet[0] >> 6 != 2:
        return False
    bit = 4 if packet[0] >> 4 & 3 != 3 else 3  # profile 3 is followed by a reserved bit
    show_existing_frame, frame_type = packet[0] >> (bit - 1) & 1, packet[0] >> (bit - 2) & 1
    return not show_existing_frame and not frame_type


def _is_av1_key_frame(packet: bytes) -> bool:
    """Return whether a temporal unit has a sequence header, and shows a key frame first."""
    offset, has_sequence_header = 0, False
    while offset < len(packet):
        header = packet[offset]
        kind, extension, has_size = header >> 3 & 0xF, header >> 2 & 1, header >> 1 & 1
        offset += 1 + extension
        size, offset = _leb128(packet, offset) if has_size else (len(packet) - offset, offset)
        if kind in (AV1_FRAME_HEADER, AV1_FRAME) and offset < len(packet):
            show_existing_frame, frame_type = packet[offset] >> 7, packet[offset] >> 5 & 3
            show_frame = packet[offset] >> 4 & 1
            return has_sequence_header and not show_existing_frame and not frame_type and bool(show_frame)
        has_sequence_header |= kind == AV1_SEQUENCE_HEADER
        offset += size
    return False


def _leb128(packet: bytes, offset: int) -> tuple[int, int]:
    """Return a number in LEB128, and the offset behind it."""
    value = 0
    for index, byte in enumerate(packet[offset : offset + 8]):
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value, offset + index + 1
    return len(packet), len(packet)
