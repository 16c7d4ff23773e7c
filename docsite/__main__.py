"""Build the site: `python -m docsite`."""

import time

from docsite.build import build

begun = time.monotonic()
print(f"{build()}: built in {time.monotonic() - begun:.1f} s")
