/* Events and the outbox: what is told is decided in the transaction that changes the event, and waits in order. */
#include "controlplane/fixture.h"
#include "store/alert_store.h"

struct seen { char text[2000]; size_t n; };

static bool add_delivery(void *arg, const struct cp_delivery *d)
{
	struct seen *s = arg;
	s->n += (size_t)snprintf(s->text + s->n, sizeof s->text - s->n, "%.*s:%.*s:%s:%lld ", GW_FMT(d->channel), GW_FMT(d->state),
				 d->pending ? "waits" : d->ok ? "ok" : "lost", (long long)d->tries);
	return s->n < sizeof s->text - 100;
}

static const char *deliveries(struct cp_store *s, int64_t event)
{
	static struct seen out;
	struct cp_txn *t = NULL;
	out = (struct seen){ .n = 0 };
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_deliveries_each(t, event, add_delivery, &out, NULL), GW_OK);
	cp_txn_end(&t);
	return out.text;
}

static enum gw_rc first(struct cp_store *s, struct gw_arena *a, struct cp_message *m)
{
	struct cp_txn *t = NULL;
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	enum gw_rc rc = cp_message_first(t, a, m, NULL);
	cp_txn_end(&t);
	return rc;
}

static void done(struct cp_store *s, const struct cp_message *m, bool ok)
{
	struct cp_delivery d = { .event = m->event, .at_ms = 99, .tries = m->tries + 1, .channel = m->channel, .state = m->state, .ok = ok };
	ck_assert_int_eq(cp_message_done(s, m, &d, NULL), GW_OK);
}

static int64_t open_one(struct cp_store *s, const char *rule, struct gw_str *channels, size_t n, int64_t at)
{
	struct cp_alert_event e = { .rule = gw_str_c(rule), .object = GW_STR("p1"), .severity = GW_STR("critical"), .text = GW_STR("it broke"), .value = 2.5,
		.started_at_ms = at };
	struct cp_telling tell = { .channels = { channels, n }, .text = e.text, .description = GW_STR("call me"), .value = 2.5, .at_ms = at };
	ck_assert_int_eq(cp_alert_open(s, &e, &tell, NULL), GW_OK);
	ck_assert_int_gt(e.id, 0);
	return e.id;
}

START_TEST(resolved_follows_firing_to_those_who_heard_it)
{
	char dir[128];
	struct cp_message m;
	struct gw_arena *a = gw_arena_open(0);
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	struct gw_str channels[] = { GW_STR("ops"), GW_STR("mail") };
	ck_assert_int_eq(first(s, a, &m), GW_NOTFOUND);
	int64_t e = open_one(s, "down", channels, 2, 1000);
	struct cp_telling good = { .channels = { channels, 2 }, .text = GW_STR("well again"), .at_ms = 5000 };
	ck_assert_str_eq(deliveries(s, e), "ops:firing:waits:0 mail:firing:waits:0 ");

	ck_assert_int_eq(first(s, a, &m), GW_OK);
	ck_assert(gw_str_is(m.channel, "ops") && gw_str_is(m.state, "firing") && gw_str_is(m.rule, "down") && gw_str_is(m.object, "p1"));
	ck_assert(gw_str_is(m.text, "it broke") && gw_str_is(m.description, "call me") && m.value == 2.5 && m.event == e && m.started_at_ms == 1000);
	ck_assert_int_eq(cp_message_later(s, &m, 9000, GW_STR("it was not reached"), NULL), GW_OK);
	ck_assert_int_eq(first(s, a, &m), GW_OK);
	ck_assert(gw_str_is(m.channel, "mail"));
	done(s, &m, true);

	/* The end waits behind the beginning on the channel that could not be reached, although it is due before it. */
	ck_assert_int_eq(cp_alert_end(s, e, 5000, &good, NULL), GW_OK);
	ck_assert_int_eq(cp_alert_end(s, e, 6000, &good, NULL), GW_OK); /* over once, told once */
	ck_assert_str_eq(deliveries(s, e), "mail:firing:ok:1 ops:firing:waits:1 mail:resolved:waits:0 ops:resolved:waits:0 ");
	ck_assert_int_eq(first(s, a, &m), GW_OK);
	ck_assert(gw_str_is(m.channel, "mail") && gw_str_is(m.state, "resolved") && m.ended_at_ms == 5000);

	/* And outlives the process. */
	cp_store_close(&s);
	s = fx_store(dir);
	done(s, &m, true);
	ck_assert_int_eq(first(s, a, &m), GW_OK);
	ck_assert(gw_str_is(m.channel, "ops") && gw_str_is(m.state, "firing") && m.tries == 1 && m.due_at_ms == 9000);
	done(s, &m, false);
	ck_assert_int_eq(first(s, a, &m), GW_OK);
	ck_assert(gw_str_is(m.channel, "ops") && gw_str_is(m.state, "resolved"));
	done(s, &m, true);
	ck_assert_int_eq(first(s, a, &m), GW_NOTFOUND);

	ck_assert_int_eq(cp_alerts_trim(s, 6000, NULL), GW_OK);
	ck_assert_str_eq(deliveries(s, e), "");
	gw_arena_close(&a);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

/* What does not fit is lost visibly, and what waits for one channel waits for it together. */
START_TEST(the_outbox_is_bounded)
{
	char dir[128];
	struct cp_message m;
	struct gw_arena *a = gw_arena_open(0);
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	struct gw_str channels[20], ops = GW_STR("ops");
	for (size_t i = 0; i < 20; i++)
		channels[i] = ops;
	int64_t e = 0;
	for (size_t i = 0; i <= CP_OUTBOX_MAX / 20; i++)
		e = open_one(s, "many", channels, 20, 1000);
	ck_assert_ptr_nonnull(strstr(deliveries(s, e), "ops:firing:lost:0 "));
	ck_assert_ptr_null(strstr(deliveries(s, e), "waits"));
	int64_t other = 0;
	ck_assert_int_eq(first(s, a, &m), GW_OK);
	done(s, &m, true);
	other = open_one(s, "another", &(struct gw_str){ GW_STR("mail").p, 4 }, 1, 2000);
	ck_assert_int_eq(first(s, a, &m), GW_OK);
	ck_assert(gw_str_is(m.channel, "ops"));
	ck_assert_int_eq(cp_message_later(s, &m, 7000, GW_STR("away"), NULL), GW_OK);
	ck_assert_int_eq(first(s, a, &m), GW_OK);
	ck_assert(m.event == other && gw_str_is(m.channel, "mail"));
	done(s, &m, true);
	ck_assert_int_eq(first(s, a, &m), GW_OK);
	ck_assert(gw_str_is(m.channel, "ops") && m.due_at_ms == 7000);
	gw_arena_close(&a);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

struct list { int64_t id[10]; size_t n; };

static bool add_event(void *arg, const struct cp_alert_event *e)
{
	struct list *l = arg;
	l->id[l->n++] = e->id;
	return l->n < GW_COUNT(l->id);
}

static struct list events(struct cp_store *s, const char *rule, bool open_only, int64_t before)
{
	struct cp_txn *t = NULL;
	struct list l = { .n = 0 };
	ck_assert_int_eq(cp_txn_begin(&t, s, NULL), GW_OK);
	ck_assert_int_eq(cp_alerts_each(t, rule ? gw_str_c(rule) : GW_STR_NONE, open_only, before, add_event, &l, NULL), GW_OK);
	cp_txn_end(&t);
	return l;
}

START_TEST(history_by_rule_and_by_state)
{
	char dir[128];
	fx_dir(dir);
	struct cp_store *s = fx_store(dir);
	int64_t one = open_one(s, "a", NULL, 0, 1), two = open_one(s, "b", NULL, 0, 2), three = open_one(s, "a", NULL, 0, 3);
	ck_assert_int_eq(cp_alert_end(s, one, 9, NULL, NULL), GW_OK);
	struct list all = events(s, NULL, false, 0), of_a = events(s, "a", false, 0), open = events(s, NULL, true, 0), open_a = events(s, "a", true, 0);
	ck_assert(all.n == 3 && all.id[0] == three && all.id[2] == one);
	ck_assert(of_a.n == 2 && of_a.id[0] == three && of_a.id[1] == one);
	ck_assert(open.n == 2 && open.id[0] == three && open.id[1] == two);
	ck_assert(open_a.n == 1 && open_a.id[0] == three);
	ck_assert(events(s, "a", false, three).n == 1 && events(s, "c", false, 0).n == 0);
	cp_store_close(&s);
	fx_rmdir(dir);
}
END_TEST

UNIT_MAIN("alert_store", resolved_follows_firing_to_those_who_heard_it, the_outbox_is_bounded, history_by_rule_and_by_state)
