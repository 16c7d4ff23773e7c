"""The SQL of a training set: which events are examples, how they form queries, what each counts.

Every statement takes the parameters of `recloop.config.learnable.Meaning.parameters`, and the part's
`start`, `end`, `day_end`, `part` and `gap`. Neighbour: `training_set.py` runs them.
"""

from recloop.config.learnable import EXAMPLES, LEARNABLE, WEIGHT

_LEARNT = (
    f"event_timestamp >= %(start)s and event_timestamp < %(end)s and part = %(part)s and {EXAMPLES}"
)

# What a query is: a user's day, or a session, which ends where its user rests for long enough.
DAY = "features.day_of(event_timestamp, %(zone)s)"
SESSION = """sum(begins) over (partition by user_key order by event_timestamp, event_id)"""

QUERY_ENTITIES = f"""
    select user_key, min(event_timestamp) as event_timestamp
    from behavior.event where {_LEARNT}
    group by user_key, {DAY}
"""
ITEM_ENTITIES = f"""
    select distinct item_key, %(day_end)s::timestamptz as event_timestamp
    from behavior.event where {_LEARNT}
"""
QUERY_DAYS = f"""
    select distinct features.midnight({DAY}, %(zone)s) from behavior.event where {_LEARNT}
"""
# query_id counts as `queries_of` sorts; the event's id settles ties, so that the order is total.
NUMBERED = f"""
    with event as (
        select user_key, item_key, event_timestamp, event_id, value, event_type,
            {LEARNABLE}::int as label,
            case when event_timestamp - lag(event_timestamp)
                over (partition by user_key order by event_timestamp, event_id)
                <= make_interval(secs => %(gap)s::float8) then 0 else 1 end as begins
        from behavior.event where {_LEARNT}
    ),
    learnt as (
        select user_key, item_key, event_timestamp, event_id, value, event_type, label,
            case when %(gap)s::float8 is null then {DAY} else {SESSION} end as part
        from event
    ),
    begun as (
        select *, min(event_timestamp) over (partition by user_key, part) as begins from learnt
    ),
    numbered as (
        select *, dense_rank() over (order by begins, user_key, part) - 1 as query_id from begun
    )
"""
# What an event counts: by its type, by its value against the usual one of its type, and nothing where
# its user took it back later that day.
WEIGHED = f"""{NUMBERED},
    usual as (
        select event_type, percentile_cont(0.5) within group (order by value) as value
        from numbered where value > 0 and %(by_value)s group by event_type
    ),
    taken_back as (
        select user_key, item_key, {DAY} as day, max(event_timestamp) as at
        from behavior.event
        where event_timestamp >= %(start)s and event_timestamp < %(end)s and part <= %(part)s
            and event_type = any(%(negatives)s)
        group by 1, 2, 3
    ),
    weighed as (
        select numbered.*,
            case when taken_back.at >= event_timestamp then 0 else
                {WEIGHT} * case when numbered.value / usual.value is null then 1
                    else least(4, greatest(0.25, numbered.value / usual.value)) end
            end as weight
        from numbered
        left join usual using (event_type)
        left join taken_back on taken_back.user_key = numbered.user_key
            and taken_back.item_key = numbered.item_key and taken_back.day = {DAY}
    )
"""
INTERACTIONS = f"""{WEIGHED}
    select query_id, item_key, (extract(epoch from event_timestamp) * 1000000)::bigint, value, weight,
        event_type, user_key
    from weighed order by query_id, event_timestamp, event_id
"""
# An item that was shown and then chosen is one example, not two.
IMPRESSIONS = f"""{WEIGHED},
    told as (select *, max(label) over (partition by query_id, item_key) as chosen from weighed)
    select query_id, item_key, (extract(epoch from event_timestamp) * 1000000)::bigint, value, weight,
        event_type, user_key, label
    from told where label = 1 or chosen = 0 or event_type <> all(%(shown)s)
    order by query_id, event_timestamp, event_id
"""
QUERIES = f"""{NUMBERED}
    select distinct query_id, user_key, (extract(epoch from begins) * 1000000)::bigint
    from numbered order by query_id
"""
ITEMS = f"""
    select item_key, coalesce(item.name, '')
    from behavior.item join (select distinct item_key from behavior.event where {_LEARNT}) as learnt
    using (item_key) order by item_key
"""
