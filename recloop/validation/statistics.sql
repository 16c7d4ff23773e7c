-- What window rules judge, measured on `behavior.checked` in one row. Lines are those that are no exact
-- duplicates; good lines broke no row rule.
with line as materialized (
    select * from behavior.checked where window_key = %(window)s and not duplicate
), good as materialized (
    select * from line where rules = '{}'
), usual as (           -- what the trailing windows held
    select item_id, count(*)::float8 as n, percentile_cont(0.5) within group (order by price) as price,
        percentile_cont(0.5) within group (order by value) as value
    from behavior.event join behavior.item using (item_key)
    where window_key = any(%(trailing)s)
        and event_timestamp >= %(since)s and event_timestamp < %(start)s
    group by item_id
), by_user as (
    select user_id, count(*)::float8 as n from good group by user_id
), by_item as (
    select item_id, count(*)::float8 as n from good group by item_id
), share as (           -- of each item, in this window (p) and before (q)
    select coalesce(by_item.n, 0) / sum(by_item.n) over () as p,
        coalesce(usual.n, 0) / sum(usual.n) over () as q
    from by_item full join usual using (item_id)
), drift as (           -- Jensen-Shannon distance, base 2 (Lin 1991): 0 equal, 1 disjoint
    select sqrt(greatest(0, 0.5 * sum(
        case when p > 0 then p * log(2, (p / ((p + q) / 2))::numeric) else 0 end
        + case when q > 0 then q * log(2, (q / ((p + q) / 2))::numeric) else 0 end
    ))) as item_drift from share having sum(q) > 0 and sum(p) > 0
), text as (            -- lines of known items, and whether the item ever showed these attributes
    select good.item_attributes, bool_or(version.attributes = good.item_attributes) as shown
    from good join behavior.item using (item_id) join behavior.item_version version using (item_key)
    where good.item_attributes is not null and good.item_attributes <> '{}'
        and version.valid_from < %(start)s
    group by good.file_id, good.line_no, good.item_attributes
), pair as (            -- pairs of positive lines, whether the user was there before, and the pair
    select user_id, account.user_key is not null as known,
        account.user_key is not null and exists (
            select from behavior.event earlier join behavior.item using (item_key)
            where earlier.user_key = account.user_key and behavior.item.item_id = asked.item_id
                and event_timestamp < %(start)s and event_type = any(%(types)s)) as seen
    from (select distinct user_id, item_id from good where event_type = any(%(types)s)) asked
        left join (select user_id, user_key from behavior.account where first_seen < %(start)s) account
            using (user_id)
), priced as (
    select greatest(-1, least(1, ln(good.price / usual.price))) as change,
        abs(ln(good.price / usual.price)) > ln(1.5) as far
    from good join usual using (item_id)
    where good.price > 0 and usual.price between %(smallest)s and %(largest)s
), valued as (
    select greatest(-2, least(2, ln(good.value / usual.value))) as change
    from good join usual using (item_id)
    where good.value between %(smallest)s and %(largest)s
        and usual.value between %(smallest)s and %(largest)s and event_type = any(%(types)s)
), hour as (            -- "3-14": Wednesday, 14:00 to 15:00 by the shop's clock
    select extract(isodow from event_timestamp at time zone %(zone)s)
        || '-' || extract(hour from event_timestamp at time zone %(zone)s) as name, count(*) as n
    from line group by 1
), day as (
    select (event_timestamp at time zone %(zone)s)::date as name, count(*) as n from line group by 1
), blamed as (
    select rule, count(*) as n from line, unnest(rules) rule group by rule
)
select
    (select count(*) from behavior.checked where window_key = %(window)s) as all_lines,
    (select count(*) from line) as lines,
    (select count(*) from good) as good,
    (select max(event_timestamp) from line) as newest,
    (select count(*) from by_user) as users,
    (select (sum(n) - max(n)) * (sum(n) - max(n)) / nullif(sum(n * n) - max(n) * max(n), 0)
        from by_user) as effective_users,   -- of equal activity (Kish 1965), without the busiest
    (select max(n) from by_user) as top_user,
    (select count(*) from by_user left join behavior.account using (user_id)
        where first_seen is null or first_seen >= %(start)s) as new_users,
    (select count(*) from by_item) as items,
    (select max(n) from by_item) as top_item,
    (select coalesce(sum(n), 0) from by_item left join behavior.item using (item_id)
        where first_seen is null or first_seen >= %(start)s) as new_item_lines,
    (select item_drift::float8 from drift) as item_drift,
    (select array[count(*), count(*) filter (where seen), count(*) filter (where known)]
        from pair) as pairs,
    (select array[avg(change), stddev_samp(change) / sqrt(count(*)), count(*), count(*) filter (where far)]
        from priced)::float8[] as prices,
    (select array[avg(change), stddev_samp(change), count(*)] from valued)::float8[] as given_values,
    (select array[count(*), count(*) filter (where not shown), count(*) filter (where not shown and exists (
        select from behavior.item_version other
        where md5(other.attributes::text) = md5(text.item_attributes::text)
            and other.valid_from < %(start)s))]
        from text) as texts,
    (select count(distinct (user_id, item_id, event_type, event_timestamp, value, price))
        from good) as different,
    (select coalesce(jsonb_object_agg(name, n), '{}') from hour) as hours,
    (select coalesce(jsonb_object_agg(name, n), '{}') from day) as days,
    (select coalesce(jsonb_object_agg(rule, n), '{}') from blamed) as broken
