-- A gap counts as repaired only when everything was read, so what has been read and what is left is written down.

-- A repair under way: some gaps that are read together, known by the first of them.
create table gap_repair (
    partner_id uuid not null constraint gap_repair_partner references partner,
    repair_id uuid not null,
    -- Tries in a row that brought nothing: the next one waits longer.
    fruitless integer not null default 0,
    begun_at timestamptz not null default now(),
    constraint gap_repair_pkey primary key (partner_id, repair_id)
);

-- Which days of Transak's list of orders it has read, or how far. `gap.repair_window` and `gap.repair_skip` are where
-- earlier versions keep their place: a number in a list of days that may change. Nothing reads them any more.
create table gap_repair_days (
    partner_id uuid not null,
    repair_id uuid not null,
    product product not null,
    first_day date not null,
    last_day date not null,
    whole boolean not null default false,
    -- Where to go on (`model::pages::Place`); null: at the beginning.
    place jsonb,
    constraint gap_repair_days_pkey primary key (partner_id, repair_id, product, first_day, last_day),
    constraint gap_repair_days_of_a_repair foreign key (partner_id, repair_id) references gap_repair on delete cascade,
    constraint gap_repair_days_begin_before_they_end check (first_day <= last_day),
    constraint gap_repair_days_go_on_or_are_whole check (place is null or not whole)
);

-- Orders that are still to be asked for by their ids before it is over.
create table gap_repair_order (
    partner_id uuid not null,
    repair_id uuid not null,
    order_id text not null,
    -- How often it could not be read: those that were not tried yet come first.
    tries integer not null default 0,
    constraint gap_repair_order_pkey primary key (partner_id, repair_id, order_id),
    constraint gap_repair_order_of_a_repair foreign key (partner_id, repair_id) references gap_repair on delete cascade
);

-- Since when Transak has said, each time it was asked, that it does not know the order.
alter table "order" add column not_found_since timestamptz;
