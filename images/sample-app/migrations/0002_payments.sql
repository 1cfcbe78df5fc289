-- A payment outlives its account.
CREATE TABLE payments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payer uuid REFERENCES users ON DELETE SET NULL,
    cents bigint NOT NULL CHECK (cents > 0),
    currency char(3) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX payments_by_payer ON payments (payer);
