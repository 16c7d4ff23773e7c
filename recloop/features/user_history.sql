-- Rows of features.user_history: for each user and day with a purchase, the last purchased items
-- up to the end of that day, most recent first. The days of the window for everybody, and up to the
-- horizon for users with events in the window: these may have changed later histories.
create temporary table touched on commit drop as
select distinct user_key from behavior.event
where event_timestamp >= %(start)s and event_timestamp < %(end)s;

-- A row for each of these users and days.
create temporary table active on commit drop as
select distinct user_key, features.day_of(event_timestamp, %(zone)s) as day
from behavior.event
where event_timestamp >= %(reach_start)s and event_timestamp < %(end)s and {learnable}
union
select user_key, features.day_of(event_timestamp, %(zone)s)
from behavior.event
where event_timestamp >= %(end)s and event_timestamp < %(horizon)s and {learnable}
  and user_key in (select user_key from touched);

delete from features.user_history
where event_timestamp > %(reach_start)s and event_timestamp <= %(end)s;

delete from features.user_history
where event_timestamp > %(end)s and event_timestamp <= %(horizon)s
  and user_key in (select user_key from touched);

insert into features.user_history (user_key, event_timestamp, history, newest_event_at)
select active.user_key, features.midnight(active.day + 1, %(zone)s), past.history, past.newest
from active
cross join lateral (
    select
        array_agg(item_key order by event_timestamp desc, event_id) as history,
        max(event_timestamp) as newest
    from (
        select item_key, event_timestamp, event_id
        from behavior.event
        where user_key = active.user_key
          and event_timestamp < features.midnight(active.day + 1, %(zone)s)
          and {learnable}
        -- user_key leads, so that the index on (user_key, event_timestamp) gives the order
        order by user_key desc, event_timestamp desc, event_id
        limit {history_length}
    ) as latest
) as past;
