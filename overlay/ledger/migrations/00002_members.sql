-- What the ledger knows of members as ones who can prove what they have. Times are milliseconds since 1970, 0: never.

-- +goose Up
CREATE TABLE members (
	peer BYTEA PRIMARY KEY,
	passed BIGINT NOT NULL,
	asked BIGINT NOT NULL,
	missed INTEGER NOT NULL,
	wrong INTEGER NOT NULL,
	failed BOOLEAN NOT NULL,
	lied BIGINT NOT NULL,
	channel BYTEA NOT NULL,
	epoch BIGINT NOT NULL
);

-- +goose Down
DROP TABLE members;
