-- Rows of features.user_items: for each user and day with a purchase, what the user has ever
-- purchased up to the end of that day, item by item: the {own_items} items purchased latest, latest
-- first. The tables `touched` and `active` are made by user_history.sql. Decayed counts are as of the day
-- after; exp(-1/28) to a power ages them further. Where there are several kinds of events, each item has
-- as many numbers in `kinds`, one item after the other; else there are none.
--
-- A row is made of the user's row before and of one day's events, so that its cost does not follow the
-- user's past, and building it again gives the same bits. A full row may have left out an item that comes
-- back: its earlier events are looked up. A row of another `basis` was made when events were read
-- another way, and serves as none: all events of the user are read then.
delete from features.user_items
where event_timestamp > %(reach_start)s and event_timestamp <= %(end)s;

delete from features.user_items
where event_timestamp > %(end)s and event_timestamp <= %(horizon)s
  and user_key in (select user_key from touched);

insert into features.user_items
    (user_key, event_timestamp, items, purchases, days, first_day, last_day, decayed_28d,
     decayed_112d, all_purchases, all_days, newest_event_at, kinds, all_kinds, basis)
with recursive coming as (   -- the days of each user, ascending
    select user_key, array_agg(day order by day) as ahead from active group by user_key
),
known as (                   -- `n`: how many of the days are computed; `stamp`: the row's midnight
    select coming.user_key, ahead, 0 as n, base.event_timestamp as stamp, base.items, base.purchases,
        base.days, base.first_day, base.last_day, base.decayed_28d, base.decayed_112d,
        coalesce(base.all_purchases, 0) as all_purchases, coalesce(base.all_days, 0) as all_days,
        base.newest_event_at, base.kinds, base.all_kinds
    from coming
    left join lateral (
        select * from features.user_items item
        where item.user_key = coming.user_key and item.event_timestamp <= %(reach_start)s
        order by item.event_timestamp desc limit 1
    ) as base on base.basis = %(basis)s
    union all
    select known.user_key, ahead, n + 1, day.ends, next.*
    from known
    cross join lateral (
        select ahead[n + 1] + 1 as today, features.midnight(ahead[n + 1] + 1, %(zone)s) as ends
        where n < cardinality(ahead)
    ) as day
    cross join lateral (
        with event as materialized (
            select item_key, {weight} as weight, {kind} as kind, event_timestamp,
                features.day_of(event_timestamp, %(zone)s) as day
            from behavior.event
            where user_key = known.user_key and {learnable}
              and event_timestamp >= coalesce(known.stamp, '-infinity') and event_timestamp < day.ends
        ),
        earlier as (         -- of items that come back
            select item_key, {weight} as weight, {kind} as kind, event_timestamp,
                features.day_of(event_timestamp, %(zone)s) as day
            from (
                select distinct item_key from event
                where cardinality(known.items) >= {own_items} and item_key <> all (known.items)
            ) as back
            join behavior.event using (item_key)
            where user_key = known.user_key and event_timestamp < known.stamp and {learnable}
        ),
        before as materialized (   -- as of the day after, too
            select item_key, purchases, days, first_day, last_day, decayed_28d * exp(age / 28.0) as decayed_28d,
                decayed_112d * exp(age / 112.0) as decayed_112d,
                known.kinds[(place - 1) * {kinds} + 1 : place * {kinds}] as kinds
            from (select (features.day_of(known.stamp, %(zone)s) - today)::float8 as age) as passed,
                unnest(known.items, known.purchases, known.days, known.first_day, known.last_day,
                    known.decayed_28d, known.decayed_112d) with ordinality
                as own (item_key, purchases, days, first_day, last_day, decayed_28d, decayed_112d, place)
        ),
        now as materialized (
            select
                item_key,
                count(*) as purchases,
                count(distinct day) as days,
                min(day) as first_day,
                max(day) as last_day,
                sum(weight * exp((day - today) / 28.0::float8) order by day, weight) as decayed_28d,
                sum(weight * exp((day - today) / 112.0::float8) order by day, weight) as decayed_112d,
                {each_kind} as kinds
            from (table event union all table earlier) as event
            group by item_key
        ),
        item as (
            select * from before where item_key not in (select item_key from now)
            union all
            select item_key, now.purchases + coalesce(before.purchases, 0),
                now.days + coalesce(before.days, 0), least(before.first_day, now.first_day), now.last_day,
                now.decayed_28d + coalesce(before.decayed_28d, 0),
                now.decayed_112d + coalesce(before.decayed_112d, 0), {counted_kinds}
            from now left join before using (item_key)
            order by last_day desc, item_key
            limit {own_items}
        ),
        own as (
            select                 -- in the order of `item`
                array_agg(item_key) as items, array_agg(purchases) as purchases, array_agg(days) as days,
                array_agg(first_day) as first_day, array_agg(last_day) as last_day,
                array_agg(decayed_28d) as decayed_28d, array_agg(decayed_112d) as decayed_112d,
                -- PostgreSQL gathers no empty arrays
                array_agg(kinds) filter (where kinds <> '{}') as kinds
            from item
        ),
        total as (
            select count(*) as purchases, count(distinct day) as days, max(event_timestamp) as newest,
                {each_kind} as kinds
            from event
        )
        select
            own.items, own.purchases, own.days, own.first_day, own.last_day,
            own.decayed_28d, own.decayed_112d,
            known.all_purchases + total.purchases, known.all_days + total.days,
            total.newest, array(select unnest(own.kinds)), {added_kinds}
        from own, total
    ) as next
)
select user_key, stamp, items, purchases, days, first_day, last_day, decayed_28d, decayed_112d,
    all_purchases, all_days, newest_event_at, kinds, all_kinds, %(basis)s
from known where n > 0;
