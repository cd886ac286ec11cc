"""A guest that keeps a journal: it writes numbered blocks through NBD, notes every acknowledgement the moment it arrives, goes on at the
same address after a failover, and can later check that each acknowledged write is there.

  demo-guest.py write  URI OFFSET LENGTH COUNT JOURNAL   write COUNT blocks into [OFFSET, OFFSET + LENGTH), bounded in time
  demo-guest.py check  URI OFFSET LENGTH JOURNAL         read them back: nothing acknowledged may be missing or older
  demo-guest.py read   URI OFFSET LENGTH                 print the SHA-256 of what is there
  demo-guest.py mark   URI OFFSET TEXT                   write one block that begins with TEXT, and flush
  demo-guest.py show   URI OFFSET                        print the text that a block begins with
"""

import hashlib
import random
import struct
import sys
import time

import nbd

BLOCK = 4096
IN_FLIGHT = 16
RECONNECT_BOUND_S = 60
RUN_BOUND_S = 180
HEADER = struct.Struct("<QQ")


def content(sequence, block):
    """4096 bytes that only this write can have produced."""
    seed = hashlib.sha256(HEADER.pack(sequence, block)).digest()
    return (HEADER.pack(sequence, block) + seed * 128)[:BLOCK]


def connect(uri, bound_s=RECONNECT_BOUND_S):
    """Bounded attempts: between two primaries there is nobody to answer."""
    end = time.monotonic() + bound_s
    while True:
        handle = nbd.NBD()
        handle.set_uri_allow_local_file(True)
        try:
            handle.connect_uri(uri)
            return handle
        except nbd.Error:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


class Journal:
    """One line an event, flushed at once: "I seq block" before a write is sent, "A seq block" when it is acknowledged."""

    def __init__(self, path):
        self.file = open(path, "a", buffering=1)

    def issued(self, sequence, block):
        self.file.write(f"I {sequence} {block}\n")

    def acknowledged(self, sequence, block):
        self.file.write(f"A {sequence} {block}\n")

    @staticmethod
    def read(path):
        """Per block: the last acknowledged number, and every number that was sent."""
        acknowledged, issued = {}, {}
        with open(path) as lines:
            for line in lines:
                if not line.endswith("\n"):
                    continue
                kind, sequence, block = line.split()
                if kind == "A":
                    acknowledged[int(block)] = max(acknowledged.get(int(block), 0), int(sequence))
                else:
                    issued.setdefault(int(block), set()).add(int(sequence))
        return acknowledged, issued


def drain(handle, pending, journal, gap):
    """Takes what was answered; returns the writes that failed, to be sent again."""
    failed = []
    for cookie in list(pending):
        sequence, block, buffer = pending[cookie]
        try:
            if not handle.aio_command_completed(cookie):
                continue
            journal.acknowledged(sequence, block)
            now = time.monotonic()
            gap[1] = max(gap[1], now - gap[0])
            gap[0] = now
        except nbd.Error:
            failed.append((sequence, block, buffer))
        del pending[cookie]
    return failed


def write(uri, offset, length, count, path):
    journal = Journal(path)
    blocks = length // BLOCK
    chosen = random.Random(1)
    handle = connect(uri)
    pending, again = {}, []
    sequence, reconnects = 0, 0
    gap = [time.monotonic(), 0.0]
    end = time.monotonic() + RUN_BOUND_S
    while sequence < count or pending or again:
        if time.monotonic() > end:
            sys.exit(f"not finished within {RUN_BOUND_S} s: {sequence} of {count} sent, {len(pending)} unanswered")
        try:
            while len(pending) < IN_FLIGHT and (again or sequence < count):
                if again:
                    number, block, buffer = again.pop()
                else:
                    block = chosen.randrange(blocks)
                    if any(b == block for _, b, _ in pending.values()):
                        continue
                    sequence += 1
                    number, buffer = sequence, nbd.Buffer.from_bytearray(bytearray(content(sequence, block)))
                    journal.issued(number, block)
                try:
                    pending[handle.aio_pwrite(buffer, offset + block * BLOCK)] = (number, block, buffer)
                except nbd.Error:
                    again.append((number, block, buffer))
                    raise
            handle.poll(1000)
            again += drain(handle, pending, journal, gap)
            if again and not (handle.aio_is_ready() or handle.aio_is_processing()):
                raise nbd.Error("connection lost")
        except nbd.Error:
            again += drain(handle, pending, journal, gap)
            again += pending.values()
            pending = {}
            reconnects += 1
            handle = connect(uri)
    handle.flush()
    handle.shutdown()
    print(f"writes={sequence} reconnects={reconnects} longest_wait_s={gap[1]:.2f}")


def check(uri, offset, length, path):
    acknowledged, issued = Journal.read(path)
    handle = connect(uri, 5)
    missing = wrong = 0
    for block in range(length // BLOCK):
        if block not in issued:
            continue
        data = bytes(handle.pread(BLOCK, offset + block * BLOCK))
        sequence, written_for = HEADER.unpack_from(data)
        known = sequence in issued[block] and written_for == block and data == content(sequence, block)
        if sequence < acknowledged.get(block, 0) or (sequence == 0 and block in acknowledged):
            missing += 1
        elif not known and (sequence != 0 or any(data)):
            wrong += 1
    total = sum(1 for line in open(path) if line.startswith("A "))
    print(f"acknowledged={total} blocks={len(acknowledged)} missing={missing} wrong={wrong}")
    return 0 if missing == 0 and wrong == 0 and acknowledged else 1


def read(uri, offset, length):
    handle = connect(uri, 5)
    digest = hashlib.sha256()
    while length > 0:
        part = min(length, 1 << 20)
        digest.update(handle.pread(part, offset))
        offset, length = offset + part, length - part
    print(digest.hexdigest())


def mark(uri, offset, text):
    handle = connect(uri, 5)
    handle.pwrite(text.encode().ljust(BLOCK, b"\0"), offset)
    handle.flush()
    handle.shutdown()


def show(uri, offset):
    handle = connect(uri, 5)
    print(bytes(handle.pread(BLOCK, offset)).rstrip(b"\0").decode(errors="replace") or "(zeroes)")


def main(arguments):
    verb, uri, *rest = arguments
    if verb == "write":
        write(uri, int(rest[0]), int(rest[1]), int(rest[2]), rest[3])
    elif verb == "check":
        sys.exit(check(uri, int(rest[0]), int(rest[1]), rest[2]))
    elif verb == "read":
        read(uri, int(rest[0]), int(rest[1]))
    elif verb == "mark":
        mark(uri, int(rest[0]), rest[1])
    elif verb == "show":
        show(uri, int(rest[0]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
