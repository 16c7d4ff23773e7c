-- Rows of features.user_items: for each user and day with a purchase, what the user has ever
-- purchased up to the end of that day, item by item: the {own_items} items purchased latest, latest
-- first. Days are chosen as in user_history.sql, which also makes the table `touched`. Decayed counts
-- are as of the day after; exp(-1/28) to a power ages them further. Ordered sums keep their last bit.
-- Where there are several kinds of events, each item has as many numbers in `kinds`, one item after the
-- other; else there are none.
delete from features.user_items
where event_timestamp > %(reach_start)s and event_timestamp <= %(end)s;

delete from features.user_items
where event_timestamp > %(end)s and event_timestamp <= %(horizon)s
  and user_key in (select user_key from touched);

insert into features.user_items
    (user_key, event_timestamp, items, purchases, days, first_day, last_day, decayed_28d,
     decayed_112d, all_purchases, all_days, newest_event_at, kinds, all_kinds)
with active as (
    select distinct user_key, features.day_of(event_timestamp, %(zone)s) as day
    from behavior.event
    where event_timestamp >= %(reach_start)s and event_timestamp < %(end)s and {learnable}
    union
    select user_key, features.day_of(event_timestamp, %(zone)s)
    from behavior.event
    where event_timestamp >= %(end)s and event_timestamp < %(horizon)s and {learnable}
      and user_key in (select user_key from touched)
)
select
    active.user_key, features.midnight(active.day + 1, %(zone)s), past.items, past.purchases, past.days,
    past.first_day, past.last_day, past.decayed_28d, past.decayed_112d,
    total.purchases, total.days, total.newest, array(select unnest(past.kinds)), total.kinds
from active
cross join lateral (
    select
        array_agg(item_key order by last_day desc, item_key) as items,
        array_agg(purchases order by last_day desc, item_key) as purchases,
        array_agg(days order by last_day desc, item_key) as days,
        array_agg(first_day order by last_day desc, item_key) as first_day,
        array_agg(last_day order by last_day desc, item_key) as last_day,
        array_agg(decayed_28d order by last_day desc, item_key) as decayed_28d,
        array_agg(decayed_112d order by last_day desc, item_key) as decayed_112d,
        -- PostgreSQL gathers no empty arrays
        array_agg(kinds order by last_day desc, item_key) filter (where kinds <> '{}') as kinds
    from (
        select
            item_key,
            count(*) as purchases,
            count(distinct day) as days,
            min(day) as first_day,
            max(day) as last_day,
            sum(weight * exp((day - active.day - 1) / 28.0::float8) order by day, weight) as decayed_28d,
            sum(weight * exp((day - active.day - 1) / 112.0::float8) order by day, weight) as decayed_112d,
            {each_kind} as kinds
        from (
            select item_key, {weight} as weight, {kind} as kind,
                features.day_of(event_timestamp, %(zone)s) as day
            from behavior.event
            where user_key = active.user_key
              and event_timestamp < features.midnight(active.day + 1, %(zone)s)
              and {learnable}
        ) as event
        group by item_key
        order by max(day) desc, item_key
        limit {own_items}
    ) as item
) as past
cross join lateral (
    select
        count(*) as purchases,
        count(distinct features.day_of(event_timestamp, %(zone)s)) as days,
        max(event_timestamp) as newest,
        {each_kind} as kinds
    from (
        select event_timestamp, {kind} as kind
        from behavior.event
        where user_key = active.user_key
          and event_timestamp < features.midnight(active.day + 1, %(zone)s)
          and {learnable}
    ) as event
) as total;
