"""The users of login_ramp_server.py on PORT: another one every 0.4 s, each of which says a line every second, until killed."""

import asyncio
import sys

USERS, GAP = 100, 0.4


async def user(number):
    await asyncio.sleep(number * GAP)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    while True:
        writer.write(b"hello\n")
        await reader.readline()
        await asyncio.sleep(1)


async def main():
    await asyncio.gather(*(user(number) for number in range(USERS)))


asyncio.run(main())
