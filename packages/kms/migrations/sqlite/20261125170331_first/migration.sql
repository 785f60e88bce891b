CREATE TABLE `audit_entries` (
	`run` text NOT NULL,
	`seq` integer NOT NULL,
	`body` text NOT NULL,
	`mac` blob NOT NULL,
	CONSTRAINT `audit_entries_pk` PRIMARY KEY(`run`, `seq`)
);
--> statement-breakpoint
CREATE TABLE `audit_heads` (
	`run` text PRIMARY KEY,
	`ordinal` integer NOT NULL,
	`seq` integer NOT NULL,
	`last_mac` blob NOT NULL,
	`head_mac` blob NOT NULL,
	`chain_key_version` integer NOT NULL,
	`started_at` integer NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `cluster` (
	`cluster_id` blob PRIMARY KEY,
	`root_version` integer NOT NULL,
	`created_at` integer NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `cluster_head` (
	`id` integer PRIMARY KEY,
	`epoch` integer NOT NULL,
	`row_count` integer NOT NULL,
	`masked_sum` blob NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `keys` (
	`key` text PRIMARY KEY,
	`purpose` text NOT NULL,
	`kem_id` integer NOT NULL,
	`latest_version` integer NOT NULL,
	`primary_version` integer NOT NULL,
	`rewrap_to` text NOT NULL,
	`created_at` integer NOT NULL,
	`rotated_at` integer,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `own_keys` (
	`purpose` text NOT NULL,
	`version` integer NOT NULL,
	`root_version` integer NOT NULL,
	`sealed` blob NOT NULL,
	`created_at` integer NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL,
	CONSTRAINT `own_keys_pk` PRIMARY KEY(`purpose`, `version`)
);
--> statement-breakpoint
CREATE TABLE `slots` (
	`slot` text PRIMARY KEY,
	`kind` text NOT NULL,
	`root_version` integer NOT NULL,
	`sealed_root` blob NOT NULL,
	`created_at` integer NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `tokens` (
	`token` text PRIMARY KEY,
	`name` text NOT NULL,
	`secret_mac` blob NOT NULL,
	`pepper_version` integer NOT NULL,
	`permissions` text NOT NULL,
	`keys` text,
	`created_at` integer NOT NULL,
	`expires_at` integer,
	`revoked_at` integer,
	`created_by` text,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `versions` (
	`key` text NOT NULL,
	`version` integer NOT NULL,
	`state` text NOT NULL,
	`kem_id` integer NOT NULL,
	`public_key` blob NOT NULL,
	`recipient_id` blob NOT NULL,
	`root_version` integer NOT NULL,
	`sealed_seed` blob NOT NULL,
	`created_at` integer NOT NULL,
	`state_changed_at` integer NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL,
	CONSTRAINT `versions_pk` PRIMARY KEY(`key`, `version`),
	CONSTRAINT `fk_versions_key_keys_key_fk` FOREIGN KEY (`key`) REFERENCES `keys`(`key`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `audit_heads_ordinal` ON `audit_heads` (`ordinal`);--> statement-breakpoint
CREATE UNIQUE INDEX `versions_recipient_id` ON `versions` (`recipient_id`);--> statement-breakpoint
CREATE UNIQUE INDEX `versions_one_primary` ON `versions` (`key`) WHERE "versions"."state" = 'primary';