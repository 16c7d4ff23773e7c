-- Events that any row of the days [first_day, last_day] can depend on, with what the aggregates need.
-- A day is a number: days of the shop's zone since 1970-01-01. 28 days before the first are read, not
-- 27, so that the row that closes an entity's activity (all zeros) is written.
create temporary table recent on commit drop as
select
    user_key,
    item_key,
    event_timestamp,
    features.day_of(event_timestamp, %(zone)s) as day,
    {learnable} as learnable,
    {kind} as kind,
    {negative} as cancelled,
    -- NULL beyond any bound that a row rule can have: of events accepted before rules had bounds
    case when abs(price) <= 1e12 then price end as price,
    case when abs(value) <= 1e12 and abs(coalesce(price, 0)) <= 1e12
        then value * coalesce(price, 0) end as amount
from behavior.event
where event_timestamp >= features.midnight(%(first_day)s - 28, %(zone)s)
  and event_timestamp < features.midnight(%(last_day)s + 1, %(zone)s);
analyze recent;
