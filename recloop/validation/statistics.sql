-- What window rules judge, measured on `behavior.checked` in one row. Lines are those that are no exact
-- duplicates; good lines broke no row rule.
with line as materialized (
    select * from behavior.checked where window_key = %(window)s and not duplicate
), good as materialized (
    select * from line where rules = '{}'
), usual as (           -- what the trailing windows held
    select item_id, count(*)::float8 as n, percentile_cont(0.5) within group (order by price) as price
    from behavior.event join behavior.item using (item_key)
    where window_key = any(%(trailing)s)
        and event_timestamp >= %(since)s and event_timestamp < %(start)s
    group by item_id
), share as (           -- of each item, in this window (p) and before (q)
    select coalesce(now.n, 0) / sum(now.n) over () as p, coalesce(usual.n, 0) / sum(usual.n) over () as q
    from (select item_id, count(*)::float8 as n from good group by item_id) now
        full join usual using (item_id)
), drift as (           -- Jensen-Shannon distance, base 2 (Lin 1991): 0 equal, 1 disjoint
    select sqrt(greatest(0, 0.5 * sum(
        case when p > 0 then p * log(2, (p / ((p + q) / 2))::numeric) else 0 end
        + case when q > 0 then q * log(2, (q / ((p + q) / 2))::numeric) else 0 end
    ))) as item_drift from share having sum(q) > 0 and sum(p) > 0
), text as (            -- lines of known items, and whether the item ever showed these attributes
    select bool_or(version.attributes = good.item_attributes) as shown
    from good join behavior.item using (item_id) join behavior.item_version version using (item_key)
    where good.item_attributes is not null and good.item_attributes <> '{}'
        and version.valid_from < %(start)s
    group by good.file_id, good.line_no
), positive as (
    select user_key, item_key, count(distinct event_timestamp) > 1 as twice
    from good join behavior.account using (user_id) join behavior.item using (item_id)
    where event_type = any(%(types)s) group by user_key, item_key
), pair as (            -- positive pairs of users seen before, and whether each is a repetition
    select twice or earlier.item_key is not null as repeated
    from positive left join (
        select distinct user_key, item_key from behavior.event
        where user_key in (select user_key from positive) and event_timestamp < %(start)s
            and event_type = any(%(types)s)
    ) earlier using (user_key, item_key)
), hour as (            -- "3-14": Wednesday, 14:00 to 15:00 by the shop's clock
    select extract(isodow from event_timestamp at time zone %(zone)s)
        || '-' || extract(hour from event_timestamp at time zone %(zone)s) as name, count(*) as n
    from line group by 1
), day as (
    select (event_timestamp at time zone %(zone)s)::date as name, count(*) as n from line group by 1
)
select
    (select count(*) from behavior.checked where window_key = %(window)s) as all_lines,
    (select count(*) from line) as lines,
    (select count(*) from good) as good,
    (select max(event_timestamp) from line) as newest,
    (select percentile_cont(0.5) within group (order by price) from line
        where price between %(smallest)s and %(largest)s and event_type = any(%(types)s)) as price_median,
    (select percentile_cont(0.5) within group (order by value) from line
        where abs(value) <= %(largest)s and event_type = any(%(types)s)) as value_median,
    (select avg((abs(ln(good.price / usual.price)) > ln(1.5))::int)::float8
        from good join usual using (item_id)
        where good.price > 0 and usual.price between %(smallest)s and %(largest)s) as price_shift,
    (select item_drift::float8 from drift) as item_drift,
    (select avg((not shown)::int)::float8 from text) as changed_text_share,
    (select count(*) from pair) as pairs,
    (select avg(repeated::int)::float8 from pair) as repeat_pair_share,
    (select 1 - count(distinct (user_id, item_id, event_type, event_timestamp, value, price))::float8
        / nullif(count(*), 0) from good) as copied_share,
    (select coalesce(jsonb_object_agg(name, n), '{}') from hour) as hours,
    (select coalesce(jsonb_object_agg(name, n), '{}') from day) as days
