-- Rows of features.user_statistics for the days [first_day, last_day], from the table `recent`.
delete from features.user_statistics
where event_timestamp > %(reach_start)s and event_timestamp <= %(reach_end)s;

insert into features.user_statistics
    (user_key, event_timestamp, purchases_7d, purchases_28d, spend_28d, distinct_items_28d,
     cancels_28d, newest_event_at)
with tile as (              -- one row per user and day with events
    select
        user_key,
        day,
        count(*) filter (where learnable) as purchases,
        sum(amount::numeric) filter (where learnable) as spend,  -- numeric: any order, same sum
        count(*) filter (where cancelled) as cancels,
        max(event_timestamp) as newest
    from recent
    group by user_key, day
),
dense as (                  -- one row per user and day; day - 28 only makes the closing row exist
    select
        tile.user_key,
        grid.day,
        sum(purchases) filter (where tile.day > grid.day - 7) as purchases_7d,
        sum(purchases) filter (where tile.day > grid.day - 28) as purchases_28d,
        sum(spend) filter (where tile.day > grid.day - 28) as spend_28d,
        sum(cancels) filter (where tile.day > grid.day - 28) as cancels_28d,
        max(newest) filter (where tile.day > grid.day - 28) as newest
    from tile
    join generate_series(%(first_day)s, %(last_day)s) as grid (day)
        on tile.day between grid.day - 28 and grid.day
    group by tile.user_key, grid.day
),
presence as (               -- disjoint spans of days on which an item is among the user's last 28 days
    select
        user_key,
        day as starts,
        least(day + 28, lead(day) over (partition by user_key, item_key order by day)) as ends
    from (select distinct user_key, item_key, day from recent where learnable) as pair
),
change as (                 -- how the number of distinct items changes from day to day
    select user_key, greatest(starts, %(first_day)s) as day, 1 as step
    from presence where ends > %(first_day)s
    union all
    select user_key, ends, -1 from presence where ends > %(first_day)s
),
step as (
    select user_key, day, sum(step) as step from change group by user_key, day
)
select
    dense.user_key,
    features.midnight(dense.day + 1, %(zone)s),
    coalesce(purchases_7d, 0),
    coalesce(purchases_28d, 0),
    coalesce(spend_28d, 0),
    sum(coalesce(step.step, 0)) over (partition by dense.user_key order by dense.day),
    coalesce(cancels_28d, 0),
    newest
from dense
left join step on step.user_key = dense.user_key and step.day = dense.day;
