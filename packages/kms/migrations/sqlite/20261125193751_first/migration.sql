CREATE TABLE `aliases` (
	`alias` text PRIMARY KEY NOT NULL,
	`key` text NOT NULL,
	`created_at` integer NOT NULL,
	`changed_at` integer NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `audit_entries` (
	`run` text NOT NULL,
	`seq` integer NOT NULL,
	`body` text NOT NULL,
	`mac` blob NOT NULL,
	CONSTRAINT `audit_entries_pk` PRIMARY KEY(`run`, `seq`)
);
--> statement-breakpoint
CREATE TABLE `audit_heads` (
	`run` text PRIMARY KEY NOT NULL,
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
CREATE TABLE `backups` (
	`backup` text PRIMARY KEY NOT NULL,
	`taken_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`recipient_ids` text NOT NULL,
	`file_name` text,
	`epoch` integer,
	`byte_length` integer,
	`sha256` blob,
	`confirmed_at` integer,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `census` (
	`key` text NOT NULL,
	`consumer` text NOT NULL,
	`counts` text,
	`taken_at` integer,
	`principal` text,
	`token` text NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL,
	CONSTRAINT `census_pk` PRIMARY KEY(`key`, `consumer`)
);
--> statement-breakpoint
CREATE TABLE `checkpoints` (
	`checkpoint` integer PRIMARY KEY,
	`line` text NOT NULL,
	`created_at` integer NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `clock` (
	`clock` text PRIMARY KEY NOT NULL,
	`latest` integer NOT NULL,
	`shown` integer NOT NULL,
	`jump_seen_at` integer,
	`jump_by_ms` integer,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `cluster` (
	`cluster_id` blob PRIMARY KEY NOT NULL,
	`root_version` integer NOT NULL,
	`next_root_version` integer,
	`min_slots` integer NOT NULL,
	`created_at` integer NOT NULL,
	`restored_at` integer,
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
CREATE TABLE `destructions` (
	`key` text NOT NULL,
	`version` integer NOT NULL,
	`destroy_at` integer NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL,
	CONSTRAINT `destructions_pk` PRIMARY KEY(`key`, `version`)
);
--> statement-breakpoint
CREATE TABLE `grants` (
	`principal` text NOT NULL,
	`grant` text NOT NULL,
	`effect` text NOT NULL,
	`permissions` text NOT NULL,
	`keys` text,
	`labels` text,
	`context` text,
	`not_before` integer,
	`not_after` integer,
	`networks` text,
	`uses_left` integer,
	`created_at` integer NOT NULL,
	`created_by` text NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL,
	CONSTRAINT `grants_pk` PRIMARY KEY(`principal`, `grant`)
);
--> statement-breakpoint
CREATE TABLE `idempotency` (
	`owner` text NOT NULL,
	`use` text NOT NULL,
	`request` blob NOT NULL,
	`is_kept` integer NOT NULL,
	`answer` text,
	`done_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL,
	CONSTRAINT `idempotency_pk` PRIMARY KEY(`owner`, `use`)
);
--> statement-breakpoint
CREATE TABLE `issued_data_keys` (
	`key` text NOT NULL,
	`key_id` text NOT NULL,
	`version` integer NOT NULL,
	`issued_at` integer NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL,
	CONSTRAINT `issued_data_keys_pk` PRIMARY KEY(`key`, `key_id`)
);
--> statement-breakpoint
CREATE TABLE `keys` (
	`key` text PRIMARY KEY NOT NULL,
	`purpose` text NOT NULL,
	`kem_id` integer NOT NULL,
	`enabled` integer NOT NULL,
	`latest_version` integer NOT NULL,
	`primary_version` integer NOT NULL,
	`min_unwrap_version` integer NOT NULL,
	`rewrap_to` text NOT NULL,
	`labels` text NOT NULL,
	`destroy_after_ms` integer NOT NULL,
	`exportable` integer NOT NULL,
	`exported_at` integer,
	`imported` integer NOT NULL,
	`issued_only` integer NOT NULL,
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
CREATE TABLE `principals` (
	`principal` text PRIMARY KEY NOT NULL,
	`description` text NOT NULL,
	`disabled_at` integer,
	`created_at` integer NOT NULL,
	`created_by` text NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `prunings` (
	`pruning` integer PRIMARY KEY,
	`checkpoint` integer NOT NULL,
	`line` text NOT NULL,
	`entries` integer NOT NULL,
	`export_sha256` text NOT NULL,
	`pruned_at` integer NOT NULL,
	`pruned_by` text NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `schedules` (
	`key` text PRIMARY KEY NOT NULL,
	`every_ms` integer NOT NULL,
	`next_at` integer NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `slots` (
	`slot` text PRIMARY KEY NOT NULL,
	`kind` text NOT NULL,
	`label` text NOT NULL,
	`kem_id` integer NOT NULL,
	`public_key` blob NOT NULL,
	`sealed_secret` blob NOT NULL,
	`auth_root_version` integer NOT NULL,
	`sealed_auth` blob NOT NULL,
	`root_version` integer NOT NULL,
	`sealed_root` blob NOT NULL,
	`next_root` blob,
	`created_at` integer NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `tokens` (
	`token` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`principal` text,
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
CREATE TABLE `usage` (
	`key` text NOT NULL,
	`version` integer NOT NULL,
	`total` integer NOT NULL,
	`last_used_at` integer NOT NULL,
	`days` text NOT NULL,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL,
	CONSTRAINT `usage_pk` PRIMARY KEY(`key`, `version`)
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
	`compromised_at` integer,
	`destroy_at` integer,
	`generation` integer NOT NULL,
	`mac` blob NOT NULL,
	CONSTRAINT `versions_pk` PRIMARY KEY(`key`, `version`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `audit_heads_ordinal` ON `audit_heads` (`ordinal`);--> statement-breakpoint
CREATE UNIQUE INDEX `versions_recipient_id` ON `versions` (`recipient_id`);--> statement-breakpoint
CREATE UNIQUE INDEX `versions_one_primary` ON `versions` (`key`) WHERE state = 'primary';