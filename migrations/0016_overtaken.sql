-- Ends a statement that finds itself overtaken by another transaction, and with it everything that it wrote. To the
-- caller it is a serialization failure: start again.
create function overtaken() returns boolean language plpgsql as $$
begin
    raise exception 'another transaction came first' using errcode = 'serialization_failure';
end
$$;
