/* password.c - scrypt (RFC 7914), N=2^15 r=8 p=1: 32 MiB and some 60 ms for each guess. */
#include "auth/auth.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/str.h"

#define LOG_N    15
#define R        8
#define P        1
#define MAX_MEM  (64u << 20)
#define SALT     16
#define MIN_CHARACTERS 10

/* Each derivation takes 32 MiB: one at a time bounds what a flood of logins costs. */
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

static void derive(uint8_t out[32], struct gw_str password, const uint8_t *salt, size_t salt_n)
{
	pthread_mutex_lock(&one);
	int ok = EVP_PBE_scrypt(password.p, password.n, salt, salt_n, 1u << LOG_N, R, P, MAX_MEM, out, 32);
	pthread_mutex_unlock(&one);
	if (ok != 1)
		abort(); /* memory is out */
}

void cp_password_hash(struct gw_buf *out, struct gw_str password)
{
	uint8_t salt[SALT], hash[32];
	gw_random(salt, sizeof salt);
	derive(hash, password, salt, sizeof salt);
	gw_buf_printf(out, "scrypt$%d$%d$%d$", LOG_N, R, P);
	gw_b64_add(out, salt, sizeof salt);
	gw_buf_add_byte(out, '$');
	gw_b64_add(out, hash, sizeof hash);
	gw_secret_wipe(hash, sizeof hash);
}

bool cp_password_verify(struct gw_str stored, struct gw_str password)
{
	static const uint8_t nobody[SALT] = { 0 };
	struct gw_buf salt, hash;
	uint8_t computed[32];
	gw_buf_init(&salt, 64);
	gw_buf_init(&hash, 64);
	struct gw_str rest = stored;
	bool known = gw_str_is(gw_str_cut(&rest, '$'), "scrypt") && gw_str_is(gw_str_cut(&rest, '$'), "15") &&
		     gw_str_is(gw_str_cut(&rest, '$'), "8") && gw_str_is(gw_str_cut(&rest, '$'), "1");
	struct gw_str salt_text = gw_str_cut(&rest, '$');
	known = known && rest.p != NULL && gw_b64_decode(&salt, salt_text) && gw_b64_decode(&hash, rest) &&
		salt.n == SALT && hash.n == 32;
	derive(computed, password, known ? (const uint8_t *)salt.p : nobody, SALT);
	bool ok = known && gw_secret_eq((struct gw_str){ (char *)computed, 32 }, gw_buf_str(&hash));
	gw_secret_wipe(computed, sizeof computed);
	gw_buf_fini(&salt);
	gw_buf_fini(&hash);
	return ok;
}

static const char *const common[] = {
	"1234567890", "12345678910", "0123456789", "9876543210", "0987654321", "1111111111", "0000000000", "123456789a",
	"password12", "password123", "password1234", "passw0rd123", "qwertyuiop", "qwerty1234", "qwerty12345",
	"1q2w3e4r5t", "1qaz2wsx3edc", "q1w2e3r4t5", "asdfghjkl1", "abcdefghij", "abcd123456", "abc1234567",
	"iloveyou12", "iloveyou123", "administrator", "admin12345", "admin123456", "adminadmin", "letmein1234",
	"welcome123", "welcome1234", "changeme123", "tidegate123", "tidegatetidegate", "football123", "sunshine123",
	"princess123", "superman123", "1234567890a", "a123456789", "aa12345678", "woaini1314", "woaini1314520",
	"5201314520", "qwertyuiop123", "zxcvbnm123", "passwordpassword", "p@ssw0rd123", "123123123123", "123qwe123qwe",
};

const char *cp_password_weakness(struct gw_str username, struct gw_str password)
{
	size_t characters = 0;
	for (size_t i = 0; i < password.n; i++)
		characters += ((unsigned char)password.p[i] & 0xc0) != 0x80;
	if (characters < MIN_CHARACTERS)
		return "the password must have at least 10 characters";
	if (gw_str_ieq(password, username))
		return "the password must not be the user name";
	for (size_t i = 0; i < GW_COUNT(common); i++)
		if (gw_str_ieq(password, gw_str_c(common[i])))
			return "the password is among the most common ones: choose another";
	return NULL;
}
