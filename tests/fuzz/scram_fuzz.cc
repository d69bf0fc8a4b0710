// SCRAM with a peer that sends anything: no message may crash either side or let anybody in who
// does not know the key.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/check.h"
#include "parser/wire/scram.h"

namespace waypost {
namespace {

constexpr unsigned kIterations = 1;  // fast; the count is not what is tested
constexpr std::string_view kSalt = "0123456789abcdef";

std::string AnyText(FuzzedDataProvider& provider) { return provider.ConsumeRandomLengthString(1100); }

// A client that may start as a real one does, against our server side.
void AttackServer(FuzzedDataProvider& provider) {
  const bool plus = provider.ConsumeBool();
  ScramServer server(MakeVerifier("secret", kSalt, kIterations), "servernonce",
                     plus || provider.ConsumeBool() ? "end point" : "");
  const std::string real = plus ? "p=tls-server-end-point,,n=,r=abc" : "n,,n=,r=abc";
  const std::string first = provider.ConsumeBool() ? real : AnyText(provider);
  const auto answer = server.OnClientFirst(first, plus);
  std::string final = AnyText(provider);
  if (answer && provider.ConsumeBool()) final = "c=biws,r=abcservernonce" + AnyText(provider) + ",p=" + AnyText(provider);
  WAYPOST_CHECK(!server.OnClientFinal(final));
  if (!answer) WAYPOST_CHECK(!ScramSqlState(answer.fault().fault).empty());
}

// A server that does not know the password, against our client side.
void AttackClient(FuzzedDataProvider& provider) {
  ScramCredentials credentials;
  credentials.keys = DeriveKeys("secret", kSalt, kIterations);
  const bool bound = provider.ConsumeBool();
  ScramClient client(credentials, "abc",
                     {bound ? ScramBinding::Use::kBound : ScramBinding::Use::kNotOffered, bound ? AnyText(provider) : ""});
  std::string first = AnyText(provider);
  if (provider.ConsumeBool()) first = "r=abcdef,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=1";
  const auto answer = client.OnServerFirst(first);
  const auto done = client.OnServerFinal(AnyText(provider));
  WAYPOST_CHECK(!done);
}

// One login that goes well but for a byte changed on the way: it must not go well.
void Tamper(FuzzedDataProvider& provider) {
  ScramServer server(MakeVerifier("secret", kSalt, kIterations), "servernonce");
  ScramCredentials credentials;
  credentials.keys = DeriveKeys("secret", kSalt, kIterations);
  ScramClient client(credentials, "abc");
  const auto first = server.OnClientFirst(client.ClientFirst());
  WAYPOST_CHECK(first.ok());
  const auto final = client.OnServerFirst(*first);
  WAYPOST_CHECK(final.ok());
  std::string changed = *final;
  const auto at = provider.ConsumeIntegralInRange<std::size_t>(0, changed.size() - 1);
  const auto byte = provider.ConsumeIntegral<char>();
  // The last digit before the padding carries bits that base64 drops.
  const bool same = changed[at] == byte || at + 2 == changed.size();
  changed[at] = byte;
  if (!same) WAYPOST_CHECK(!server.OnClientFinal(changed));
}

}  // namespace
}  // namespace waypost

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider provider(data, size);
  switch (provider.ConsumeIntegralInRange(0, 3)) {
    case 0: waypost::AttackServer(provider); break;
    case 1: waypost::AttackClient(provider); break;
    case 2: waypost::Tamper(provider); break;
    default: {
      const auto verifier = waypost::ParseVerifier(provider.ConsumeRemainingBytesAsString());
      // Not the same text (numbers may have leading zeros), but the same meaning.
      if (verifier) WAYPOST_CHECK(waypost::ParseVerifier(waypost::FormatVerifier(*verifier)).ok());
    }
  }
  return 0;
}
