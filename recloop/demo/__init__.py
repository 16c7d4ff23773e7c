"""The demonstration: the whole loop on real data, ending in one report.

`run.py` is the order of events, `demo_report.py` the numbers, `demo_page.py` the picture. Everything
that it shows, it reads from the ledger and the artefacts that any installation writes; nothing in the
loop knows that a demonstration runs.
"""
