-- Where the trace of an event stands (W3C traceparent), so that each attempt to tell it belongs to the trace of the frame
-- it was heard in. Null: nobody collected traces when it was heard.
alter table event add column traceparent text
    constraint event_traceparent_length check (length(traceparent) = 55);
