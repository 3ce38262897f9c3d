-- +goose Up
-- The same text serves SQLite and PostgreSQL. Times are milliseconds since 1970, amounts billionths of the unit in which
-- prices are given. Only entries is the ledger: each is chained to the one before by its hash. The other tables say the
-- same in a form that can be asked, and "gateway ledger verify" compares them.
CREATE TABLE entries (
	id BIGINT PRIMARY KEY,
	kind INTEGER NOT NULL,
	at BIGINT NOT NULL,
	body BYTEA NOT NULL,
	hash BYTEA NOT NULL
);
CREATE TABLE channels (
	id BYTEA PRIMARY KEY,
	name TEXT NOT NULL,
	price BIGINT NOT NULL,
	hourly BIGINT NOT NULL,
	credit BIGINT NOT NULL
);
CREATE TABLE emitted (
	channel BYTEA NOT NULL,
	epoch BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	bytes BIGINT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (channel, epoch, seq)
);
CREATE TABLE leases (
	channel BYTEA NOT NULL,
	epoch BIGINT NOT NULL,
	uploader BYTEA NOT NULL,
	downloader BYTEA NOT NULL,
	expires BIGINT NOT NULL,
	entry BIGINT NOT NULL,
	PRIMARY KEY (channel, epoch, uploader, downloader)
);
CREATE TABLE series (
	channel BYTEA NOT NULL,
	epoch BIGINT NOT NULL,
	uploader BYTEA NOT NULL,
	downloader BYTEA NOT NULL,
	session BIGINT NOT NULL,
	raw BYTEA NOT NULL,
	credited BIGINT NOT NULL,
	frozen BOOLEAN NOT NULL,
	entry BIGINT NOT NULL,
	PRIMARY KEY (channel, epoch, uploader, downloader, session)
);
CREATE TABLE credits (
	entry BIGINT PRIMARY KEY,
	at BIGINT NOT NULL,
	channel BYTEA NOT NULL,
	epoch BIGINT NOT NULL,
	uploader BYTEA NOT NULL,
	downloader BYTEA NOT NULL,
	bytes BIGINT NOT NULL,
	watched BIGINT NOT NULL,
	viewing BIGINT NOT NULL,
	refused BIGINT NOT NULL,
	charge BIGINT NOT NULL,
	earned BIGINT NOT NULL
);
CREATE INDEX credits_at ON credits (at);
CREATE INDEX credits_uploader ON credits (uploader, at);
CREATE INDEX credits_downloader ON credits (downloader, at);
CREATE TABLE disputes (
	entry BIGINT PRIMARY KEY,
	at BIGINT NOT NULL,
	channel BYTEA NOT NULL,
	sender BYTEA NOT NULL,
	uploader BYTEA NOT NULL,
	downloader BYTEA NOT NULL,
	reason TEXT NOT NULL,
	detail TEXT NOT NULL,
	bytes BIGINT NOT NULL
);
CREATE INDEX disputes_at ON disputes (at);

-- +goose Down
DROP TABLE disputes;
DROP TABLE credits;
DROP TABLE series;
DROP TABLE leases;
DROP TABLE emitted;
DROP TABLE channels;
DROP TABLE entries;
