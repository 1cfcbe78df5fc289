CREATE TABLE digests (
    job text PRIMARY KEY,
    digest text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
