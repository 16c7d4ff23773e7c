"""The site of `docs/`: reference pages that are made from the code, and the build.

    python -m docsite            builds var/site

Belongs here: what a reader sees that no person writes. Keep out: prose (see `docs/`), and being imported
by the product.
"""
