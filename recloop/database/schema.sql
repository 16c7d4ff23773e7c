-- recloop's tables. Every statement can be repeated.
create schema if not exists behavior;
create schema if not exists ledger;
create schema if not exists lineage;
create schema if not exists features;
create schema if not exists feast_online;
create schema if not exists feast_registry;
create schema if not exists mlflow;
create schema if not exists published;

-- ── behavior: what was read, and what became of each line ────────────────────────────────────────
create table if not exists behavior.source_file (
    file_id     bigint generated always as identity primary key,
    dataset     text not null,
    path        text not null,
    sha256      text not null,
    lines       bigint not null,               -- data lines, header excluded
    superseded  bigint not null default 0,     -- lines dropped unread because a newer file replaced them
    state       text not null check (state in ('landed', 'refused', 'superseded')),
    reason      text,
    size        bigint,                        -- of a file, and
    modified_ns bigint,                        -- its mtime: a cheap hint that nothing changed
    landed_at   timestamptz not null default now()
);
-- One current version per path; a refused version is remembered once.
create unique index if not exists source_current on behavior.source_file (dataset, path)
    where state = 'landed' and size is not null;
create unique index if not exists source_refused on behavior.source_file (dataset, path, sha256)
    where state = 'refused';

-- Lines read but not yet decided on: pending.
create table if not exists behavior.landing (
    file_id         bigint not null,           -- no foreign key: it would double the time of COPY
    line_no         bigint not null,           -- 1 = first data line
    window_key      text not null,
    event_id        uuid not null,             -- md5 of the dataset's identity columns
    content_hash    uuid not null,             -- md5 of the whole line
    user_id         text,
    item_id         text,
    event_type      text,
    event_timestamp timestamptz not null,
    value           double precision,
    price           double precision,
    user_attributes jsonb,
    item_attributes jsonb,
    faults          text[] not null default '{}',   -- rules that reading the line already broke
    primary key (file_id, line_no)
);
create index if not exists landing_window on behavior.landing (window_key);

-- A window's lines while they are judged, with every rule that each breaks. Empty between runs.
create unlogged table if not exists behavior.checked (
    like behavior.landing,
    rules       text[] not null,
    duplicate   boolean not null,
    price_ratio double precision               -- to the item's usual price
);
create index if not exists checked_window on behavior.checked (window_key);

-- What was measured of a window when it was last judged; later windows are compared with it.
create table if not exists behavior.window_statistics (
    window_key text primary key,
    statistics jsonb not null
);

create table if not exists behavior.account (
    user_key   bigint generated always as identity primary key,
    user_id    text not null unique,
    attributes jsonb not null default '{}',
    first_seen timestamptz not null
);

create table if not exists behavior.item (
    item_key   bigint generated always as identity primary key,
    item_id    text not null unique,
    name       text,
    first_seen timestamptz not null
);

-- An item's attributes as they changed: valid from the first event that showed them.
create table if not exists behavior.item_version (
    item_key   bigint not null references behavior.item,
    valid_from timestamptz not null,
    attributes jsonb not null,
    primary key (item_key, valid_from)
);
-- Whose text this is: asked of lines whose item shows a text that it never had.
create index if not exists item_version_attributes on behavior.item_version (md5(attributes::text));

create table if not exists behavior.event (
    event_id        uuid not null,
    event_timestamp timestamptz not null,
    user_key        bigint not null,
    item_key        bigint not null,
    event_type      text not null,
    value           double precision,
    price           double precision,
    window_key      text not null,
    file_id         bigint not null,
    line_no         bigint not null,
    content_hash    uuid,                      -- md5 of the whole line
    part            int not null default 0,    -- of its window: see ledger.part
    primary key (event_id, event_timestamp)
) partition by range (event_timestamp);
do $$ begin  -- a database from before parts; asked first, because altering locks the table
    if not exists (select from pg_attribute where attrelid = 'behavior.event'::regclass
                   and attname = 'part') then
        alter table behavior.event add column part int not null default 0;
    end if;
end $$;
create index if not exists event_user on behavior.event (user_key, event_timestamp);
create index if not exists event_pair on behavior.event (user_key, item_key, event_timestamp);
create index if not exists event_item on behavior.event (item_key, event_timestamp);
create index if not exists event_time on behavior.event (event_timestamp);

create table if not exists behavior.quarantine (
    file_id        bigint not null,
    line_no        bigint not null,
    window_key     text,                       -- null: the line has no usable timestamp
    event_id       uuid,
    rule           text not null,              -- the first broken rule; a line is counted under it
    rules          text[] not null,            -- all broken rules
    line           jsonb not null,
    quarantined_at timestamptz not null default now(),
    primary key (file_id, line_no)
);
do $$ begin  -- of a line without a time, the window of the line before it: there its loss counts
    if not exists (select from pg_attribute where attrelid = 'behavior.quarantine'::regclass
                   and attname = 'near_window') then
        alter table behavior.quarantine add column near_window text;
    end if;
end $$;
do $$ begin  -- under which settings a line was judged, so that it is judged again when they change
    if not exists (select from pg_attribute where attrelid = 'behavior.quarantine'::regclass
                   and attname = 'judging') then
        alter table behavior.quarantine
            add column judging text,           -- row rules and their limits; null: see source_file.reading
            add column due timestamptz;        -- of a line of the future: when it is none any more
        alter table behavior.source_file
            add column reading text,           -- what its undecided and broken lines were read under,
            add column landed_under text;      -- and its others (DatasetSpec.reading)
    end if;
end $$;
create index if not exists quarantine_due on behavior.quarantine (due) where due is not null;

-- Lines that came back from the quarantine because a setting changed, until they are decided on again.
create table if not exists behavior.returned (
    file_id bigint not null,
    line_no bigint not null,
    primary key (file_id, line_no)
);

create index if not exists quarantine_near on behavior.quarantine (near_window)
    where near_window is not null;
create index if not exists quarantine_event on behavior.quarantine (event_id);
create index if not exists quarantine_window on behavior.quarantine (window_key, rule);

-- ── ledger: each window's passage ────────────────────────────────────────────────────────────────
create table if not exists ledger.window (
    window_key   text primary key,
    starts       timestamptz not null,
    ends         timestamptz not null,
    state        text not null check (state in ('landed', 'refused', 'validated', 'featured')),
    lines        bigint not null default 0,
    accepted     bigint not null default 0,
    duplicates   bigint not null default 0,
    quarantined  jsonb not null default '{}',  -- rule: lines
    data_hash    text,
    validation   jsonb,                        -- ValidationReport
    seconds      jsonb not null default '{}',  -- stage: wall seconds
    changed_at   timestamptz not null default now(),
    check (starts < ends),
    exclude using gist (tstzrange(starts, ends) with &&)
);

-- What is learnt at once: a window's events, or those of them that came too late for the part before
-- (docs/adr/0009-late-parts.md). The parts' `accepted` add up to the window's. What has been learnt by
-- one recommender is closed for all.
create table if not exists ledger.part (
    part_key     text primary key,             -- 2011-06-06, 2011-06-06+1, 2011-06-06+2 …
    window_key   text not null references ledger.window,
    number       int not null check (number >= 0),
    accepted     bigint not null default 0,
    taught_at    timestamptz,                  -- in a silo: a round has taught it, it is closed
    unique (window_key, number)
);
do $$ begin  -- a database from before silos closed what they teach
    if not exists (select from pg_attribute where attrelid = 'ledger.part'::regclass
                   and attname = 'taught_at') then
        alter table ledger.part add column taught_at timestamptz;
    end if;
end $$;

do $$ begin  -- a database from before a person could accept a refused window
    if not exists (select from pg_attribute where attrelid = 'ledger.window'::regclass
                   and attname = 'acceptance') then
        alter table ledger.window add column acceptance jsonb;
    end if;
end $$;

-- Two counts by name as one.
create or replace function ledger.added_up(one jsonb, other jsonb) returns jsonb
    language sql immutable parallel safe as $$
    select coalesce(jsonb_object_agg(name, n), '{}') from (
        select name, sum(n) as n from (
            select key as name, value::bigint as n from jsonb_each_text(one)
            union all
            select key, value::bigint from jsonb_each_text(other)
        ) both_counts group by name
    ) summed
$$;
do $$ begin  -- a database from before windows said how many events of each kind they have
    if not exists (select from pg_attribute where attrelid = 'ledger.window'::regclass
                   and attname = 'kinds') then
        alter table ledger.window add column kinds jsonb not null default '{}';
    end if;
end $$;

do $$ begin  -- earlier versions noted windows that cannot be, such as '1-01-01'; nothing was accepted in them
    if not exists (select from pg_constraint where conrelid = 'ledger.window'::regclass
                   and conname = 'window_key_is_a_date') then
        delete from ledger.window w where window_key !~ '^\d{4}-\d{2}-\d{2}(T\d{4}Z)?$'
            and not exists (select from ledger.part p where p.window_key = w.window_key);
        alter table ledger.window add constraint window_key_is_a_date
            check (window_key ~ '^\d{4}-\d{2}-\d{2}(T\d{4}Z)?$') not valid;
    end if;
    if not exists (select from pg_constraint where conrelid = 'ledger.window'::regclass
                   and conname = 'window_key_is_a_date'
                   and position('Z' in pg_get_constraintdef(oid)) > 0) then
        alter table ledger.window drop constraint window_key_is_a_date;  -- before windows of hours
        alter table ledger.window add constraint window_key_is_a_date
            check (window_key ~ '^\d{4}-\d{2}-\d{2}(T\d{4}Z)?$') not valid;
    end if;
end $$;

-- ── lineage: what each recommender has of its own ────────────────────────────────────────────────
-- Recommenders on the same data share the log, the windows and the features. Updates, releases, training
-- sets and what was measured with a champion are each one's own. A session is of one recommender
-- (`options=-c recloop.recommender=…` in its URL), and sees its rows only, through the views of `ledger`
-- at the end of this file (docs/adr/0025-several-recommenders.md).
create or replace function ledger.recommender() returns text
    language sql stable parallel safe as $$
    select coalesce(nullif(current_setting('recloop.recommender', true), ''), 'default')
$$;

do $$  -- a database from before recommenders: what it has is of the only one
declare
    name text;
begin
    foreach name in array array['update', 'release', 'reign', 'shadow'] loop
        if exists (select from pg_class where oid = to_regclass('ledger.' || name) and relkind = 'r') then
            execute format('alter table ledger.%I set schema lineage', name);
            execute format('alter table lineage.%I add column recommender text not null default ''default''',
                           name);
            execute format('alter table lineage.%I alter column recommender set default ledger.recommender()',
                           name);
        end if;
    end loop;
    if not exists (select from pg_attribute where attname = 'recommender'
                   and attrelid = to_regclass('lineage.one_live_update')) then
        drop index if exists lineage.one_live_update, lineage.one_champion;
    end if;
end $$;

create sequence if not exists ledger.fencing_token;

create table if not exists lineage.update (
    update_id      bigint generated always as identity primary key,
    recommender    text not null default ledger.recommender(),
    target         text not null references ledger.window,
    parent_release bigint,
    state          text not null check (state in
        ('planned', 'training', 'evaluated', 'promoted', 'rejected', 'deferred', 'skipped', 'abandoned')),
    holder         text not null,              -- the run that works on it
    token          bigint not null unique,     -- fencing token: only its holder may commit
    lease_until    timestamptz not null,
    attempt        int not null default 1,
    plan           jsonb not null,             -- UpdatePlan
    candidate      jsonb,
    gate_report    jsonb,
    reason         text not null,
    seconds        jsonb not null default '{}',
    cost_cpu_s     double precision,
    approval       jsonb,                      -- {answer, by, at}, if a person was asked
    planned_at     timestamptz not null default now(),
    concluded_at   timestamptz
);
do $$ begin  -- a database from before the gate could defer an update
    if not exists (select from pg_constraint where conrelid = 'lineage.update'::regclass
                   and conname = 'update_state_check'
                   and pg_get_constraintdef(oid) like '%deferred%') then
        alter table lineage.update drop constraint update_state_check;
        alter table lineage.update add constraint update_state_check check (state in
            ('planned', 'training', 'evaluated', 'promoted', 'rejected', 'deferred', 'skipped', 'abandoned'));
    end if;
end $$;
-- At most one update of a recommender is alive.
create unique index if not exists one_live_update on lineage.update (recommender)
    where state in ('planned', 'training', 'evaluated');

create table if not exists ledger.update_window (
    update_id  bigint not null references lineage.update,
    window_key text not null,                  -- of a part
    primary key (update_id, window_key)
);

-- An increment's shards, while they are trained side by side. Only the holder of a shard's current
-- token may report it; the merge takes over, with a new token, those that have not reported in time.
create table if not exists ledger.shard (
    update_id  bigint not null references lineage.update,
    number     int not null,                   -- 0, 1, …
    token      bigint not null,                -- from ledger.fencing_token
    state      text not null check (state in ('waiting', 'training', 'reported', 'taken')),
    report     jsonb,                          -- ShardReport
    opened_at  timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    primary key (update_id, number),
    check ((state = 'reported') = (report is not null))
);

create table if not exists lineage.release (
    version         bigint generated always as identity primary key,
    recommender     text not null default ledger.recommender(),
    update_id       bigint not null unique references lineage.update,
    parent_version  bigint references lineage.release,   -- null: trained from scratch
    uri             text not null,
    registry_version text,                     -- MLflow model version
    champion_from   timestamptz not null default now(),
    thinned_at      timestamptz                -- since then its files are gone, or being deleted
);

-- What a release has learnt from, its parents' parts included: no part twice.
create table if not exists ledger.trained (
    version    bigint not null references lineage.release,
    window_key text not null,                  -- of a part
    update_id  bigint not null references lineage.update,
    primary key (version, window_key)
);

-- What a recommender learns of a part: its events as examples, with the features of their time.
create table if not exists lineage.training_set (
    recommender  text not null default ledger.recommender(),
    part_key     text not null references ledger.part,
    featured     bigint not null,              -- of the part's accepted events, those that are in it
    training_set jsonb not null,               -- TrainingSet
    primary key (recommender, part_key)
);

-- What the policy measured on a window before anything learnt from it.
create table if not exists lineage.signals (
    recommender text not null default ledger.recommender(),
    window_key  text not null references ledger.window,
    signals     jsonb not null,
    primary key (recommender, window_key)
);

do $$ begin  -- a database from before recommenders had both in the shared tables
    if exists (select from pg_attribute where attrelid = 'ledger.part'::regclass
               and attname = 'training_set' and not attisdropped) then
        insert into lineage.training_set (recommender, part_key, featured, training_set)
        select 'default', part_key, featured, training_set from ledger.part
        where training_set is not null on conflict do nothing;
        alter table ledger.part drop column training_set, drop column featured;
    end if;
    if exists (select from pg_attribute where attrelid = 'ledger.window'::regclass
               and attname = 'signals' and not attisdropped) then
        insert into lineage.signals (recommender, window_key, signals)
        select 'default', window_key, signals from ledger.window
        where signals is not null on conflict do nothing;
        alter table ledger.window drop column signals;
    end if;
end $$;

-- A database from before parts: each window becomes its part 0, once.
do $$ begin
    if exists (select from information_schema.columns where table_schema = 'ledger'
               and table_name = 'window' and column_name = 'training_set') then
        insert into ledger.part (part_key, window_key, number, accepted)
        select window_key, window_key, 0, accepted
        from ledger.window where state in ('validated', 'featured') or training_set is not null
        on conflict do nothing;
        insert into lineage.training_set (recommender, part_key, featured, training_set)
        select 'default', window_key, case when state = 'featured' then accepted else 0 end, training_set
        from ledger.window where training_set is not null on conflict do nothing;
        alter table ledger.window drop column training_set;
    end if;
    if not exists (select from pg_constraint where conrelid = 'ledger.trained'::regclass
                   and conname = 'trained_part') then
        alter table ledger.update_window drop constraint if exists update_window_window_key_fkey,
            add constraint update_window_part foreign key (window_key) references ledger.part;
        alter table ledger.trained drop constraint if exists trained_window_key_fkey,
            add constraint trained_part foreign key (window_key) references ledger.part;
    end if;
end $$;

-- Who was champion when: one open row. Rolling back opens a new row for an old version.
create table if not exists lineage.reign (
    reign_id bigint generated always as identity primary key,
    recommender text not null default ledger.recommender(),
    version  bigint not null references lineage.release,
    began_at timestamptz not null default now(),
    ended_at timestamptz,
    reason   text not null
);
create unique index if not exists one_champion on lineage.reign (recommender) where ended_at is null;

-- A person's word that the champion stays: while a row is open, nothing is promoted (ledger/pins.py).
create table if not exists lineage.pin (
    pin_id       bigint generated always as identity primary key,
    recommender  text not null default ledger.recommender(),
    version      bigint not null references lineage.release,  -- champion when it was pinned
    pinned_by    text not null,
    reason       text not null,
    pinned_at    timestamptz not null default now(),
    unpinned_by  text,
    unpinned_why text,
    unpinned_at  timestamptz
);
create unique index if not exists one_pin on lineage.pin (recommender) where unpinned_at is null;

-- What full retrainings would have given: measured now and then, never promoted.
create table if not exists lineage.shadow (
    recommender text not null default ledger.recommender(),
    window_key text not null references ledger.window,     -- on which both were scored
    version    bigint not null references lineage.release,  -- champion before that window was learnt
    report     jsonb not null,                             -- ShadowReport
    made_at    timestamptz not null default now(),
    primary key (window_key, version)
);

-- Which HTTP server answered with which release since when, and what it refused.
create table if not exists lineage.served (
    recommender text not null default ledger.recommender(),
    server      text not null,                 -- host:process
    version     bigint not null references lineage.release,
    state       text not null check (state in ('served', 'refused')),
    reason      text not null default '',      -- of a refusal
    at          timestamptz not null default now()
);
create index if not exists served_at on lineage.served (recommender, at);

-- What HTTP servers showed, with the features as served; and what came of it.
create table if not exists lineage.impression (
    request_id  uuid primary key,
    recommender text not null default ledger.recommender(),
    version     bigint not null,
    at          timestamptz not null,
    user_id     text not null,                 -- empty: nobody said who
    items       bigint[] not null,             -- keys, the best first
    moment      timestamptz,                   -- what was known of the user: up to this midnight
    features    jsonb not null                 -- what the model was asked with
);
create index if not exists impression_at on lineage.impression (recommender, at);
create index if not exists impression_moment on lineage.impression (recommender, moment);
create table if not exists lineage.feedback (
    request_id  uuid not null,
    recommender text not null default ledger.recommender(),
    item_id     text not null,
    kind        text not null,
    at          timestamptz not null,
    unique (request_id, item_id, kind)
);
-- What a recommender's outlets were given: one row for each time that recommendations of all users were
-- computed for a target. One of a target is published, and its basis says what that depended on.
create table if not exists lineage.publication (
    id          bigint generated always as identity primary key,
    recommender text not null default ledger.recommender(),
    target      text not null,                 -- 'published', schema.table, or a file's address
    release     bigint not null references lineage.release,
    moment      timestamptz,                   -- as of which features are; null: of a family without
    k           int not null,
    filters     jsonb not null default '[]',
    basis       jsonb not null,                -- all that a list depends on beside its user's events
    users       bigint,                        -- that have a list
    computed    bigint,                        -- of them, those whose list was computed anew
    rows        bigint,
    similar_rows bigint,                       -- rows of similar items
    sha256      text,                          -- of all lists: recloop/outlets/digests.py
    why         text,                          -- all lists were computed anew; '': only some were
    parts       jsonb,                         -- part: [accepted, in the features]; kept of what is published
    newest_user bigint,
    started_at  timestamptz not null default now(),
    finished_at timestamptz,
    state       text not null check (state in ('started', 'published', 'replaced', 'abandoned')),
    check ((state in ('published', 'replaced')) = (finished_at is not null))
);
create unique index if not exists one_publication on lineage.publication (recommender, target)
    where state = 'published';

create index if not exists feedback_at on lineage.feedback (at);
-- Both as lines of behavior, of all recommenders on the data, where a user is known.
create or replace view lineage.feedback_line as
    select request_id::text, user_id, item_id, kind, 1 as value, feedback.at
    from lineage.feedback join lineage.impression using (request_id) where user_id <> '';
create or replace view lineage.shown_line as
    select request_id::text, user_id, item_id, 'shown' as kind, 1 as value, at
    from lineage.impression cross join unnest(items) as shown (item_key)
        join behavior.item using (item_key)
    where user_id <> '';

-- Columns that tables of earlier versions lack. Asked first: `add column` locks out all readers.
do $$ begin
    if not exists (select from information_schema.columns
                   where (table_schema, table_name, column_name) = ('lineage', 'update', 'approval')) then
        alter table lineage.update add column approval jsonb;
        alter table lineage.release add column thinned_at timestamptz;
    end if;
end $$;

-- Views of the session's recommender; PostgreSQL writes through them. Made again when a table has other
-- columns than before.
do $$
declare
    shown record;
begin
    for shown in
        select c.oid::regclass as base, c.relname as name,
               string_agg(quote_ident(attname), ', ' order by attnum) as columns,
               array_agg(attname::text order by attnum) as names
        from pg_class c join pg_namespace n on n.oid = relnamespace join pg_attribute on attrelid = c.oid
        where nspname = 'lineage' and relkind = 'r' and attnum > 0 and not attisdropped
            and attname <> 'recommender'
        group by 1, 2
    loop
        continue when shown.names = (
            select array_agg(attname::text order by attnum) from pg_attribute
            where attrelid = to_regclass('ledger.' || shown.name) and attnum > 0);
        execute format('drop view if exists ledger.%I', shown.name);
        execute format('create view ledger.%I as select %s from %s where recommender = '
                       'ledger.recommender() with check option', shown.name, shown.columns, shown.base);
    end loop;
end $$;

-- ── features: what was known at a moment; Feast's offline store reads these ──────────────────────
-- Days are numbered from 1970-01-01, in the shop's zone. A day begins with its first moment: where the
-- clock repeats midnight PostgreSQL takes the second, where it skips it the moment of the change.
create or replace function features.day_of(moment timestamptz, zone text) returns int
    language sql immutable parallel safe as $$
    select (moment at time zone zone)::date - date '1970-01-01'
$$;
create or replace function features.midnight(day int, zone text) returns timestamptz
    language sql immutable parallel safe as $$
    select ((date '1970-01-01' + day)::timestamp at time zone zone) - case
        when ((((date '1970-01-01' + day)::timestamp at time zone zone) - interval '1 hour')
              at time zone zone)::date = date '1970-01-01' + day then interval '1 hour'
        else interval '0 hours' end
$$;
-- event_timestamp: a row holds what happened before it (a midnight), and may be used from it on.
-- newest_event_at: the newest event that the row reflects; the leak guard compares it with queries.
create table if not exists features.user_statistics (
    event_timestamp    timestamptz not null,
    user_key           bigint not null,
    purchases_7d       bigint not null,
    purchases_28d      bigint not null,
    spend_28d          double precision not null,
    distinct_items_28d bigint not null,
    cancels_28d        bigint not null,
    newest_event_at    timestamptz,            -- null: the row that closes 28 days without events
    primary key (event_timestamp, user_key)
);

create table if not exists features.item_statistics (
    event_timestamp timestamptz not null,
    item_key        bigint not null,
    purchases_7d    bigint not null,
    purchases_28d   bigint not null,
    buyers_28d      bigint not null,
    price           double precision,          -- median of 28 days
    cancels_28d     bigint not null,
    newest_event_at timestamptz,
    kinds_28d       bigint[] not null default '{}',  -- events of each kind, where there are several
    primary key (event_timestamp, item_key)
);

create table if not exists features.user_history (
    user_key        bigint not null,
    event_timestamp timestamptz not null,
    history         bigint[] not null,         -- last 50 item keys, most recent first
    newest_event_at timestamptz not null,
    primary key (user_key, event_timestamp)
);
create index if not exists user_history_time on features.user_history (event_timestamp);

create table if not exists features.user_items (
    user_key        bigint not null,
    event_timestamp timestamptz not null,
    items           bigint[] not null,         -- item keys, latest purchased first, at most 300
    purchases       bigint[] not null,         -- of each item: events,
    days            bigint[] not null,         -- UTC days with one,
    first_day       bigint[] not null,         -- the first and the last of them since 1970-01-01,
    last_day        bigint[] not null,
    decayed_28d     double precision[] not null,  -- sum of exp(-age / 28 days),
    decayed_112d    double precision[] not null,  -- and of exp(-age / 112 days)
    all_purchases   bigint not null,           -- events and days of all items, beyond the 300 too
    all_days        bigint not null,
    newest_event_at timestamptz not null,
    kinds           bigint[] not null default '{}',  -- where there are several kinds: events of each
    all_kinds       bigint[] not null default '{}',  -- kind, one item after the other; of all items
    basis           bigint not null default 0, -- how events were read when it was made: see daily.py
    primary key (user_key, event_timestamp)
);
do $$ begin  -- a database from before features counted each kind, or rows had a basis
    if not exists (select from pg_attribute where attrelid = 'features.user_items'::regclass
                   and attname = 'all_kinds') then
        alter table features.item_statistics add column kinds_28d bigint[] not null default '{}';
        alter table features.user_items add column kinds bigint[] not null default '{}',
            add column all_kinds bigint[] not null default '{}';
    end if;
    if not exists (select from pg_attribute where attrelid = 'features.user_items'::regclass
                   and attname = 'basis') then
        alter table features.user_items add column basis bigint not null default 0;
    end if;
end $$;
create index if not exists user_items_time on features.user_items (event_timestamp);

create table if not exists features.item_content (
    item_key        bigint not null,
    event_timestamp timestamptz not null,
    name            text not null,
    words           bigint[] not null,         -- hashed, 1 to 4095
    newest_event_at timestamptz not null,
    primary key (item_key, event_timestamp)
);
create index if not exists item_content_time on features.item_content (event_timestamp);

-- Nothing is looked up by what these lists hold: to sample them would take a tenth of an ingestion.
do $$ declare list record; begin
    for list in
        select attrelid::regclass as place, attname as name
        from pg_attribute join pg_type on pg_type.oid = atttypid
        where attrelid = any(array['features.user_history', 'features.user_items',
                'features.item_statistics', 'features.item_content']::regclass[])
            and attnum > 0 and not attisdropped and typcategory = 'A'
            and coalesce(attstattarget, -1) <> 0
    loop
        execute format('alter table %s alter column %I set statistics 0', list.place, list.name);
    end loop;
end $$;

-- Which windows have feature rows; says how far late events reach.
create table if not exists features.built_window (
    window_key text primary key,
    starts     timestamptz not null,
    ends       timestamptz not null,
    built_at   timestamptz not null default now(),     -- the last time
    online_as_of timestamptz                           -- the time of the rows that the online store has
);
do $$ begin  -- a database from before servers kept what they know of users
    if not exists (select from pg_attribute where attrelid = 'features.built_window'::regclass
                   and attname = 'built_at') then
        alter table features.built_window add column built_at timestamptz not null default now();
    end if;
end $$;
do $$ begin  -- a database from before several windows were brought online at once: each was
    if not exists (select from pg_attribute where attrelid = 'features.built_window'::regclass
                   and attname = 'online_as_of') then
        alter table features.built_window add column online_as_of timestamptz;
        update features.built_window set online_as_of = built_at;
    end if;
end $$;

-- The definitions that Feast's registry holds, as a hash: `feast apply` only when it changes.
create table if not exists features.applied (
    only_row    boolean primary key default true check (only_row),
    fingerprint text not null
);

-- ── published: recommendations for whoever reads tables ──────────────────────────────────────────
-- A recommender's rows are a partition of their own, and all of one release: recloop/outlets/tables.py.
create table if not exists published.recommendation (
    recommender text not null,
    release     bigint not null,
    user_id     text collate "C" not null,     -- '': whoever is not known
    rank        smallint not null,             -- from 1 on
    item_id     text not null,
    score       real not null,
    reason      text not null                  -- own, together, popular or retrieval
) partition by list (recommender);

create table if not exists published.similar_item (
    recommender     text not null,
    release         bigint not null,
    item_id         text collate "C" not null,
    rank            smallint not null,
    similar_item_id text not null,
    score           real not null              -- cosine
) partition by list (recommender);
