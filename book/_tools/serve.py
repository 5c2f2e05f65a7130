"""Show the built book in a browser: python book/_tools/serve.py [PORT]."""

import sys
from functools import partial
from http.server import ThreadingHTTPServer

from browser import BookHandler
from chapters import HTML, command_line, say, use_utf8


def open_server(port):
    """Listen on the port asked for, or on a free one where it is taken."""
    handler = partial(BookHandler, directory=str(HTML))
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        say(f"Port {port} is taken; another one is used.")
        return ThreadingHTTPServer(("127.0.0.1", 0), handler)


def main():
    """Serve until Ctrl-C."""
    use_utf8()
    parser = command_line(__doc__)
    parser.add_argument("port", nargs="?", type=int, default=8000)
    port = parser.parse_args().port
    if not (HTML / "index.html").exists():
        sys.exit("There is no book yet: run `make book` (python book/_tools/build.py) first.")
    with open_server(port) as server:
        say(f"The book is at http://127.0.0.1:{server.server_port}/ (Ctrl-C ends)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("\nStopped.")


if __name__ == "__main__":
    main()
