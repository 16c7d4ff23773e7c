-- Rows of features.user_history: for each user and UTC day with a purchase, the last purchased items
-- up to the end of that day, most recent first. Days [first_day, window_last_day] for everybody, and
-- up to horizon_day for users with events in the window: these may have changed later histories.
create temporary table touched on commit drop as
select distinct user_key from behavior.event
where event_timestamp >= %(start)s and event_timestamp < %(end)s;

delete from features.user_history
where event_timestamp > %(reach_start)s and event_timestamp <= %(end)s;

delete from features.user_history
where event_timestamp > %(end)s and event_timestamp <= %(horizon)s
  and user_key in (select user_key from touched);

insert into features.user_history (user_key, event_timestamp, history, newest_event_at)
with active as (
    select distinct user_key, floor(extract(epoch from event_timestamp) / 86400)::int as day
    from behavior.event
    where event_timestamp >= %(reach_start)s and event_timestamp < %(end)s and {learnable}
    union
    select user_key, floor(extract(epoch from event_timestamp) / 86400)::int
    from behavior.event
    where event_timestamp >= %(end)s and event_timestamp < %(horizon)s and {learnable}
      and user_key in (select user_key from touched)
)
select active.user_key, to_timestamp((active.day + 1) * 86400.0), past.history, past.newest
from active
cross join lateral (
    select
        array_agg(item_key order by event_timestamp desc, event_id) as history,
        max(event_timestamp) as newest
    from (
        select item_key, event_timestamp, event_id
        from behavior.event
        where user_key = active.user_key
          and event_timestamp < to_timestamp((active.day + 1) * 86400.0)
          and {learnable}
        -- user_key leads, so that the index on (user_key, event_timestamp) gives the order
        order by user_key desc, event_timestamp desc, event_id
        limit {history_length}
    ) as latest
) as past;
