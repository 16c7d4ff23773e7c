"""Measurements against what users would pick instead, one command each, JSON and a chart out.

What belongs here: protocols, peers, our own systems as they are measured, and their costs. What does
not: anything that the product needs; neither `recloop` nor `models` imports this room. Peers come from
`requirements-bench.txt` (`make install-bench`) and are imported only when they run.

    events, reading     any events file through a dataset TOML, in memory, without a database
    retail_protocol     weekly prequential evaluation: rank the window, then learn from it
    retail_systems      what a system is, and which there are
    retail_peers        popularity, own counts, BM25, ALS, EASE, BPR (`retail_tables`: their tables)
    retail_ours         the default recommender, kept fresh in several ways (`retail_features`: what it
                        is told of users and items)
    retail_worker       one system with one seed, in a process of its own
    retail_report       means, paired differences, the page
    retail              `make bench-retail`
    sessions…           `make bench-sessions`: ADER's protocol on a folder of periods
    ctr…                `make bench-ctr`: click-through, prequential, on a ratings file
    speed…              `make bench-speed`: throughput and scaling, each a ratio in one run
    detect…             `make bench-detect`: faults planted into streams, found or not
    gate…               `make bench-gate`: planted challengers, promoted, refused or deferred
    cost                CPU seconds and peak memory of a process
    output, chart       the JSON and its picture
"""
