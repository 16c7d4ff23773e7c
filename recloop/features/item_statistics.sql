-- Rows of features.item_statistics for the days [first_day, last_day], from the table `recent`.
-- Written as user_statistics.sql is; see there for the spans.
delete from features.item_statistics
where event_timestamp > %(reach_start)s and event_timestamp <= %(reach_end)s;

insert into features.item_statistics
    (item_key, event_timestamp, purchases_7d, purchases_28d, buyers_28d, price, cancels_28d,
     newest_event_at, kinds_28d)
with tile as (
    select
        item_key,
        day,
        count(*) filter (where learnable) as purchases,
        count(*) filter (where cancelled) as cancels,
        {learnable_kinds} as kinds,
        max(event_timestamp) as newest
    from recent
    group by item_key, day
),
dense as (
    select
        tile.item_key,
        grid.day,
        sum(purchases) filter (where tile.day > grid.day - 7) as purchases_7d,
        sum(purchases) filter (where tile.day > grid.day - 28) as purchases_28d,
        sum(cancels) filter (where tile.day > grid.day - 28) as cancels_28d,
        {kinds_28d} as kinds_28d,
        max(newest) filter (where tile.day > grid.day - 28) as newest
    from tile
    join generate_series(%(first_day)s, %(last_day)s) as grid (day)
        on tile.day between grid.day - 28 and grid.day
    group by tile.item_key, grid.day
),
presence as (
    select
        item_key,
        day as starts,
        least(day + 28, lead(day) over (partition by item_key, user_key order by day)) as ends
    from (select distinct item_key, user_key, day from recent where learnable) as pair
),
change as (
    select item_key, greatest(starts, %(first_day)s) as day, 1 as step
    from presence where ends > %(first_day)s
    union all
    select item_key, ends, -1 from presence where ends > %(first_day)s
),
step as (
    select item_key, day, sum(step) as step from change group by item_key, day
),
median as (
    select
        recent.item_key,
        grid.day,
        percentile_cont(0.5) within group (order by recent.price) as price
    from recent
    join generate_series(%(first_day)s, %(last_day)s) as grid (day)
        on recent.day between grid.day - 27 and grid.day
    where recent.learnable and recent.price is not null
    group by recent.item_key, grid.day
)
select
    dense.item_key,
    features.midnight(dense.day + 1, %(zone)s),
    coalesce(purchases_7d, 0),
    coalesce(purchases_28d, 0),
    sum(coalesce(step.step, 0)) over (partition by dense.item_key order by dense.day),
    median.price,
    coalesce(cancels_28d, 0),
    newest,
    kinds_28d
from dense
left join step on step.item_key = dense.item_key and step.day = dense.day
left join median on median.item_key = dense.item_key and median.day = dense.day;
