# SPDX-License-Identifier: Apache-2.0
"""Spans out of the bodies that the sink got: as much of Protobuf as that takes."""
from typing import NamedTuple


class Span(NamedTuple):
    trace: bytes
    span: bytes
    parent: bytes
    name: str
    begin: int
    end: int
    attributes: dict


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of each field: bytes of those with a length, numbers of the others."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at)
        else:
            size, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value = data[at:at + size]
            at += size
            if kind != 2:
                value = int.from_bytes(value, "little")
        yield tag >> 3, value


def all_of(data, number):
    return [value for found, value in fields(data) if found == number]


def one_of(data, number, default):
    return (all_of(data, number) or [default])[-1]


def _attribute(pair):
    kind, value = next(fields(one_of(pair, 2, b"")), (0, None))
    return one_of(pair, 1, b"").decode(), value.decode() if kind == 1 else value


def spans(body):
    """Of one ExportTraceServiceRequest, in its order."""
    for resource in all_of(body, 1):
        for scope in all_of(resource, 2):
            for span in all_of(scope, 2):
                yield Span(one_of(span, 1, b""), one_of(span, 2, b""), one_of(span, 4, b""),
                           one_of(span, 5, b"").decode(), one_of(span, 7, 0), one_of(span, 8, 0),
                           dict(map(_attribute, all_of(span, 9))))
