-- Failures are found by when they happened.

create index runs_that_failed on app.runs (ended_at) where status in ('ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');
