"""Settings and fixtures for all tests."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import matplotlib
import pytest
from hypothesis import settings

matplotlib.use("Agg")
settings.register_profile("humimp", deadline=None, print_blob=True)
settings.load_profile("humimp")


class Site(dict[str, bytes]):
    """What a web site on this machine serves, by path; ``address`` is its root."""

    address: str
    missing: int = 0  # bytes that it promises and does not send


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve what a test puts into this dict, on this machine."""
    pages = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in pages:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(pages[self.path]) + pages.missing))
            self.end_headers()
            self.wfile.write(pages[self.path])

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        pages.address = f"http://127.0.0.1:{server.server_port}"
        yield pages
        server.shutdown()
        thread.join()
