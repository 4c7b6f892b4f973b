# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The formats below Waymo: CRC-32C, TFRecord framing, the protocol-buffer wire format; and a real frame in them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_data import real_data
from waymo_makers import chunk, doubles, integer, slow_crc32c, tfrecord, varint

from srkd.errors import CloudError
from srkd_train.data.waymo.crc32c import crc32c
from srkd_train.data.waymo.tfrecord import Record, find_records, map_file, read_record
from srkd_train.data.waymo.wire import Message


def test_crc32c_of_published_examples() -> None:
    """RFC 3720, B.4, and the check value of the CRC catalogue."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"") == 0


@pytest.mark.parametrize("count", [1, 63, 64, 65, 127, 128, 1000, 4096, 8191, 70_001])
def test_crc32c_is_that_of_bit_by_bit(count: int) -> None:
    data = np.random.default_rng(count).integers(0, 256, count, np.uint8).tobytes()
    assert crc32c(data) == slow_crc32c(data)
    assert crc32c(memoryview(data)) == crc32c(data)


def test_crc32c_of_much_data_notices_one_bit() -> None:
    data = bytearray(1_000_003)
    before = crc32c(bytes(data))
    data[765_432] ^= 4
    assert crc32c(bytes(data)) != before


def test_records_are_found_and_read(tmp_path: Path) -> None:
    payloads = [b"first", b"", b"x" * 300]
    path = tmp_path / "a.tfrecord"
    path.write_bytes(tfrecord(payloads))
    records = find_records(path, map_file(path))
    assert [record.length for record in records] == [5, 0, 300]
    assert [read_record(path, record) for record in records] == payloads


def test_damaged_records_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    whole = tfrecord([b"first", b"second"])
    second = 16 + len(b"first")

    def records(data: bytes) -> list[Record]:
        path.write_bytes(data)
        return find_records(path, map_file(path))

    with pytest.raises(CloudError, match=rf"a\.tfrecord: 42 bytes, the record at byte {second + 12} ends at 43"):
        records(whole[:-1])
    with pytest.raises(CloudError, match=rf"the record at byte {second} is cut off"):
        records(whole[: second + 5])
    with pytest.raises(CloudError, match=r"the record at byte 0 has a damaged length"):
        records(b"\x01" + whole[1:])
    first, _ = records(whole[:13] + b"\x00" + whole[14:])
    with pytest.raises(CloudError, match=r"the record at byte 12 does not match its checksum"):
        read_record(path, first)
    assert read_record(path, first, check=False) == b"f\x00rst"
    path.write_bytes(whole[:20])
    with pytest.raises(CloudError, match=r"the record at byte 12 is cut off"):
        read_record(path, first)
    path.unlink()
    with pytest.raises(CloudError, match=r"a\.tfrecord: cannot be read"):
        read_record(path, first)
    with pytest.raises(CloudError, match=r"a\.tfrecord: cannot be read"):
        map_file(path)
    path.touch()
    with pytest.raises(CloudError, match=r"a\.tfrecord: 0 bytes"):
        map_file(path)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_come_back_packed_and_unpacked(values: list[int]) -> None:
    packed = Message(chunk(3, b"".join(map(varint, values)))).integers(3)
    assert packed.tolist() == values
    assert Message(b"".join(integer(3, value) for value in values)).integers(3).tolist() == values
    assert Message(b"").integers(3).tolist() == []


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_floats_come_back_packed_and_unpacked(values: list[float]) -> None:
    packed = struct.pack(f"<{len(values)}f", *values)
    unpacked = b"".join(varint(1 << 3 | 5) + struct.pack("<f", value) for value in values)
    for data in (chunk(1, packed), unpacked):
        assert Message(data).floats(1).tolist() == values
    assert Message(doubles(2, values)).doubles(2).tolist() == values
    assert Message(chunk(2, struct.pack(f"<{len(values)}d", *values))).doubles(2).tolist() == values


def test_a_message_of_messages() -> None:
    inner = integer(1, 7) + chunk(2, "Straße".encode())
    message = Message(chunk(4, inner) + integer(1, -1) + chunk(4, integer(1, 8)) + doubles(5, [2.5]) + chunk(6, b""))
    assert [each.integer(1) for each in message.messages(4)] == [7, 8]
    assert next(message.messages(4)).text(2) == "Straße"
    assert message.message(4).integer(1) == 8, "the last one counts where a field is not repeated"
    assert message.integer(1) == -1 and message.double(5) == 2.5
    assert message.has(4) and message.has(1) and not message.has(6) and not message.has(99)
    assert message.integer(99) == 0 and message.text(99) == "" and np.isnan(message.double(99))
    assert message.message(99).integer(1) == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x0a\x05abc", "field 1 needs 5 bytes, 3 are left"),
        (b"\x09abc", "field 1 needs 8 bytes"),
        (b"\x0d", "field 1 needs 4 bytes"),
        (b"\x08\x80", "an integer is cut off"),
        (b"\x08" + b"\xff" * 11, "longer than ten bytes"),
        (b"\x0b", "wire type 3"),
        (b"\x00\x01", "number 0"),
    ],
)
def test_what_is_no_message_is_said(data: bytes, reason: str) -> None:
    with pytest.raises(CloudError, match=reason):
        Message(data)


def test_fields_of_another_kind_are_refused() -> None:
    message = Message(integer(1, 5) + chunk(2, b"\x80") + chunk(3, b"abc") + doubles(4, [1]) + chunk(5, b"\xff" * 11))
    for read, reason in (
        (lambda: message.data(1), "field 1 is of wire type 0"),
        (lambda: message.floats(1), "field 1 is of wire type 0"),
        (lambda: message.integers(2), "packed integers are cut off"),
        (lambda: message.integers(5), "cut off"),
        (lambda: message.floats(3), "no multiple of 4"),
        (lambda: message.integers(4), "field 4 is of wire type 1"),
        (lambda: Message(chunk(1, b"\xff")).text(1), "no UTF-8"),
        (lambda: Message(chunk(1, b"\xff" * 10 + b"\x01")).integers(1), "longer than ten bytes"),
    ):
        with pytest.raises(CloudError, match=reason):
            read()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        message = Message(data)
        for number in range(5):
            message.integers(number)
    except CloudError:
        pass


def test_the_real_frame_reads_as_published() -> None:
    path = real_data("waymo", "frame_without_lasers_val.tfrecord")
    (record,) = find_records(path, map_file(path))
    frame = Message(read_record(path, record))  # its checksum holds
    context = frame.message(1)
    assert context.text(1) == "1071392229495085036_1844_790_1864_790"
    assert frame.integer(2) == 1507315488219118
    pose = frame.message(3).doubles(1).reshape(4, 4)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-6)
    assert pose[3].tolist() == [0, 0, 0, 1]
    calibrations = {each.integer(1): each for each in context.messages(3)}
    assert sorted(calibrations) == [1, 2, 3, 4, 5]
    inclinations = calibrations[1].doubles(2)
    assert len(inclinations) == 64 and (np.diff(inclinations) > 0).all()
    assert calibrations[1].double(3) < inclinations[0] and inclinations[-1] < calibrations[1].double(4)
    assert all(len(calibrations[name].doubles(2)) == 0 for name in (2, 3, 4, 5))
    extrinsic = calibrations[1].message(5).doubles(1).reshape(4, 4)
    assert 1.5 < extrinsic[2, 3] < 2.5 and 1 < extrinsic[0, 3] < 2  # on the roof
