-- Events that any row of the days [first_day, last_day] can depend on, with what the aggregates need.
-- A day is a number: whole UTC days since 1970-01-01. 28 days before the first are read, not 27, so
-- that the row that closes an entity's activity (all zeros) is written.
create temporary table recent on commit drop as
select
    user_key,
    item_key,
    event_timestamp,
    floor(extract(epoch from event_timestamp) / 86400)::int as day,
    {learnable} as learnable,
    {negative} as cancelled,
    -- NULL beyond any bound that a row rule can have: of events accepted before rules had bounds
    case when abs(price) <= 1e12 then price end as price,
    case when abs(value) <= 1e12 and abs(coalesce(price, 0)) <= 1e12
        then value * coalesce(price, 0) end as amount
from behavior.event
where event_timestamp >= to_timestamp((%(first_day)s - 28) * 86400.0)
  and event_timestamp < to_timestamp((%(last_day)s + 1) * 86400.0);
analyze recent;
