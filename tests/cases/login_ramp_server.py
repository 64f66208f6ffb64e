"""INNOCENT: a server like a chat's. Users log in steadily (login_ramp_driver.py), say something now and then, and stay: every socket
grows in number, is waited on and has a peer that lives and talks. Prints its port.

    sockleak trace -p PID -d 22s    no LEAK, no SUSPECT of 0.50 or more
"""

import asyncio


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
