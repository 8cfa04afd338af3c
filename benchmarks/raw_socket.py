"""A raw socket: so many bytes from memory to whoever asks, one after the other."""

import socket
import sys


def main(port: int, nbytes: int) -> None:
    """Serve until killed."""
    body = memoryview(bytearray(nbytes))
    header = f"HTTP/1.1 200 OK\r\ncontent-length: {nbytes}\r\n\r\n".encode()
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                try:
                    while connection.recv(65536):
                        connection.sendall(header)
                        connection.sendall(body)
                except OSError:
                    continue  # it went away; the next one is served


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
