"""The room of the page *Recommenders*: what a person is shown of a recommender, and what may be done.

    freshness           how old is what answers, what waits, who decides next
    window_fates        what became of each window, and the sentence of each decision
    quality_history     quality, drift, cost and the gate's rules, from what updates left in the ledger
    release_lineage     releases, and how one came to be
    quarantined_lines   lines by the rule that they broke
    recommended         what a user is shown, now and by the release before
    pages               all of it as HTML
    report              all of it as one file, HTML or Markdown

Read at each view, by statements that look at no more rows than are shown (a page is there in less than a
second with 1,000 releases and 10,000 windows). Times come in as arguments. Nothing here writes: what a
person does goes through `stages/`. Keep out: Airflow, who may do what, and routes, which are in
`plugins/recloop_airflow/`.
"""
