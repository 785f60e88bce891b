CREATE SCHEMA "longhold_kms";
--> statement-breakpoint
CREATE TABLE "longhold_kms"."aliases" (
	"alias" text collate "C" PRIMARY KEY,
	"key" text collate "C" NOT NULL,
	"created_at" bigint NOT NULL,
	"changed_at" bigint NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."audit_entries" (
	"run" text collate "C",
	"seq" bigint,
	"body" text collate "C" NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "audit_entries_pkey" PRIMARY KEY("run","seq")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."audit_heads" (
	"run" text collate "C" PRIMARY KEY,
	"ordinal" bigint NOT NULL,
	"seq" bigint NOT NULL,
	"last_mac" bytea NOT NULL,
	"head_mac" bytea NOT NULL,
	"chain_key_version" bigint NOT NULL,
	"started_at" bigint NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."backups" (
	"backup" text collate "C" PRIMARY KEY,
	"taken_at" bigint NOT NULL,
	"expires_at" bigint NOT NULL,
	"recipient_ids" json NOT NULL,
	"file_name" text collate "C",
	"epoch" bigint,
	"byte_length" bigint,
	"sha256" bytea,
	"confirmed_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."census" (
	"key" text collate "C",
	"consumer" text collate "C",
	"counts" json,
	"taken_at" bigint,
	"principal" text collate "C",
	"token" text collate "C" NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "census_pkey" PRIMARY KEY("key","consumer")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."checkpoints" (
	"checkpoint" bigint PRIMARY KEY,
	"line" text collate "C" NOT NULL,
	"created_at" bigint NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."clock" (
	"clock" text collate "C" PRIMARY KEY,
	"latest" bigint NOT NULL,
	"shown" bigint NOT NULL,
	"jump_seen_at" bigint,
	"jump_by_ms" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."cluster" (
	"cluster_id" bytea PRIMARY KEY,
	"root_version" bigint NOT NULL,
	"next_root_version" bigint,
	"min_slots" bigint NOT NULL,
	"created_at" bigint NOT NULL,
	"restored_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."cluster_head" (
	"id" bigint PRIMARY KEY,
	"epoch" bigint NOT NULL,
	"row_count" bigint NOT NULL,
	"masked_sum" bytea NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."destructions" (
	"key" text collate "C",
	"version" bigint,
	"destroy_at" bigint NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "destructions_pkey" PRIMARY KEY("key","version")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."grants" (
	"principal" text collate "C",
	"grant" text collate "C",
	"effect" text collate "C" NOT NULL,
	"permissions" json NOT NULL,
	"keys" json,
	"labels" json,
	"context" json,
	"not_before" bigint,
	"not_after" bigint,
	"networks" json,
	"uses_left" bigint,
	"created_at" bigint NOT NULL,
	"created_by" text collate "C" NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "grants_pkey" PRIMARY KEY("principal","grant")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."idempotency" (
	"owner" text collate "C",
	"use" text collate "C",
	"request" bytea NOT NULL,
	"is_kept" boolean NOT NULL,
	"answer" json,
	"done_at" bigint NOT NULL,
	"expires_at" bigint NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "idempotency_pkey" PRIMARY KEY("owner","use")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."issued_data_keys" (
	"key" text collate "C",
	"key_id" text collate "C",
	"version" bigint NOT NULL,
	"issued_at" bigint NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "issued_data_keys_pkey" PRIMARY KEY("key","key_id")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."keys" (
	"key" text collate "C" PRIMARY KEY,
	"purpose" text collate "C" NOT NULL,
	"kem_id" bigint NOT NULL,
	"enabled" boolean NOT NULL,
	"latest_version" bigint NOT NULL,
	"primary_version" bigint NOT NULL,
	"min_unwrap_version" bigint NOT NULL,
	"rewrap_to" json NOT NULL,
	"labels" json NOT NULL,
	"destroy_after_ms" bigint NOT NULL,
	"exportable" boolean NOT NULL,
	"exported_at" bigint,
	"imported" boolean NOT NULL,
	"issued_only" boolean NOT NULL,
	"created_at" bigint NOT NULL,
	"rotated_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."own_keys" (
	"purpose" text collate "C",
	"version" bigint,
	"root_version" bigint NOT NULL,
	"sealed" bytea NOT NULL,
	"created_at" bigint NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "own_keys_pkey" PRIMARY KEY("purpose","version")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."principals" (
	"principal" text collate "C" PRIMARY KEY,
	"description" text collate "C" NOT NULL,
	"disabled_at" bigint,
	"created_at" bigint NOT NULL,
	"created_by" text collate "C" NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."prunings" (
	"pruning" bigint PRIMARY KEY,
	"checkpoint" bigint NOT NULL,
	"line" text collate "C" NOT NULL,
	"entries" bigint NOT NULL,
	"export_sha256" text collate "C" NOT NULL,
	"pruned_at" bigint NOT NULL,
	"pruned_by" text collate "C" NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."schedules" (
	"key" text collate "C" PRIMARY KEY,
	"every_ms" bigint NOT NULL,
	"next_at" bigint NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."slots" (
	"slot" text collate "C" PRIMARY KEY,
	"kind" text collate "C" NOT NULL,
	"label" text collate "C" NOT NULL,
	"kem_id" bigint NOT NULL,
	"public_key" bytea NOT NULL,
	"sealed_secret" bytea NOT NULL,
	"auth_root_version" bigint NOT NULL,
	"sealed_auth" bytea NOT NULL,
	"root_version" bigint NOT NULL,
	"sealed_root" bytea NOT NULL,
	"next_root" bytea,
	"created_at" bigint NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."tokens" (
	"token" text collate "C" PRIMARY KEY,
	"name" text collate "C" NOT NULL,
	"principal" text collate "C",
	"secret_mac" bytea NOT NULL,
	"pepper_version" bigint NOT NULL,
	"permissions" json NOT NULL,
	"keys" json,
	"created_at" bigint NOT NULL,
	"expires_at" bigint,
	"revoked_at" bigint,
	"created_by" text collate "C",
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."usage" (
	"key" text collate "C",
	"version" bigint,
	"total" bigint NOT NULL,
	"last_used_at" bigint NOT NULL,
	"days" json NOT NULL,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "usage_pkey" PRIMARY KEY("key","version")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."versions" (
	"key" text collate "C",
	"version" bigint,
	"state" text collate "C" NOT NULL,
	"kem_id" bigint NOT NULL,
	"public_key" bytea NOT NULL,
	"recipient_id" bytea NOT NULL,
	"root_version" bigint NOT NULL,
	"sealed_seed" bytea NOT NULL,
	"created_at" bigint NOT NULL,
	"state_changed_at" bigint NOT NULL,
	"compromised_at" bigint,
	"destroy_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "versions_pkey" PRIMARY KEY("key","version")
);
--> statement-breakpoint
CREATE UNIQUE INDEX "audit_heads_ordinal" ON "longhold_kms"."audit_heads" ("ordinal");--> statement-breakpoint
CREATE UNIQUE INDEX "versions_recipient_id" ON "longhold_kms"."versions" ("recipient_id");--> statement-breakpoint
CREATE UNIQUE INDEX "versions_one_primary" ON "longhold_kms"."versions" ("key") WHERE state = 'primary';