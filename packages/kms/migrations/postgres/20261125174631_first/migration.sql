CREATE SCHEMA "longhold_kms";
--> statement-breakpoint
CREATE TABLE "longhold_kms"."aliases" (
	"alias" text collate "C" PRIMARY KEY,
	"key" text collate "C",
	"created_at" bigint,
	"changed_at" bigint,
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
	"ordinal" bigint,
	"seq" bigint,
	"last_mac" bytea,
	"head_mac" bytea,
	"chain_key_version" bigint,
	"started_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."census" (
	"key" text collate "C",
	"consumer" text collate "C",
	"counts" json,
	"taken_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "census_pkey" PRIMARY KEY("key","consumer")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."checkpoints" (
	"checkpoint" bigint PRIMARY KEY,
	"line" text collate "C",
	"created_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."clock" (
	"clock" text collate "C" PRIMARY KEY,
	"latest" bigint,
	"shown" bigint,
	"jump_seen_at" bigint,
	"jump_by_ms" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."cluster" (
	"cluster_id" bytea PRIMARY KEY,
	"root_version" bigint,
	"next_root_version" bigint,
	"min_slots" bigint,
	"created_at" bigint,
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
	"destroy_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "destructions_pkey" PRIMARY KEY("key","version")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."grants" (
	"principal" text collate "C",
	"grant" text collate "C",
	"effect" text collate "C",
	"permissions" json,
	"keys" json,
	"labels" json,
	"context" json,
	"not_before" bigint,
	"not_after" bigint,
	"networks" json,
	"uses_left" bigint,
	"created_at" bigint,
	"created_by" text collate "C",
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "grants_pkey" PRIMARY KEY("principal","grant")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."issued_data_keys" (
	"key" text collate "C",
	"key_id" text collate "C",
	"version" bigint,
	"issued_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "issued_data_keys_pkey" PRIMARY KEY("key","key_id")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."keys" (
	"key" text collate "C" PRIMARY KEY,
	"purpose" text collate "C",
	"kem_id" bigint,
	"enabled" boolean,
	"latest_version" bigint,
	"primary_version" bigint,
	"min_unwrap_version" bigint,
	"rewrap_to" json,
	"labels" json,
	"destroy_after_ms" bigint,
	"exportable" boolean,
	"exported_at" bigint,
	"imported" boolean,
	"issued_only" boolean,
	"created_at" bigint,
	"rotated_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."own_keys" (
	"purpose" text collate "C",
	"version" bigint,
	"root_version" bigint,
	"sealed" bytea,
	"created_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "own_keys_pkey" PRIMARY KEY("purpose","version")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."principals" (
	"principal" text collate "C" PRIMARY KEY,
	"description" text collate "C",
	"disabled_at" bigint,
	"created_at" bigint,
	"created_by" text collate "C",
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."schedules" (
	"key" text collate "C" PRIMARY KEY,
	"every_ms" bigint,
	"next_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."slots" (
	"slot" text collate "C" PRIMARY KEY,
	"kind" text collate "C",
	"label" text collate "C",
	"kem_id" bigint,
	"public_key" bytea,
	"sealed_secret" bytea,
	"auth_root_version" bigint,
	"sealed_auth" bytea,
	"root_version" bigint,
	"sealed_root" bytea,
	"next_root" bytea,
	"created_at" bigint,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."tokens" (
	"token" text collate "C" PRIMARY KEY,
	"name" text collate "C",
	"principal" text collate "C",
	"secret_mac" bytea,
	"pepper_version" bigint,
	"permissions" json,
	"keys" json,
	"created_at" bigint,
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
	"total" bigint,
	"last_used_at" bigint,
	"days" json,
	"generation" bigint NOT NULL,
	"mac" bytea NOT NULL,
	CONSTRAINT "usage_pkey" PRIMARY KEY("key","version")
);
--> statement-breakpoint
CREATE TABLE "longhold_kms"."versions" (
	"key" text collate "C",
	"version" bigint,
	"state" text collate "C",
	"kem_id" bigint,
	"public_key" bytea,
	"recipient_id" bytea,
	"root_version" bigint,
	"sealed_seed" bytea,
	"created_at" bigint,
	"state_changed_at" bigint,
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