// One client: what it sends is gathered into batches, each batch is routed and sent to one server connection, and the
// replies are relayed. What happens next is decided in routing/ (session_machine, decide, reply_ledger); this class
// carries it out. Worker thread only; owned by its Worker.
//   session.cc     life: login, actions of the machine, waiting, time-outs, end
//   leave.cc       goes on on another worker
//   input.cc       bytes -> messages -> batch -> decision
//   classify.cc    what each message says of its batch
//   explain.cc     EXPLAIN ROUTE: answered by a query in its place
//   rules.cc       rules and comment hints: where it may go, for how long, or not at all
//   move.cc        READ ONLY blocks that go on elsewhere
//   cut.cc         batches of which a part is for another server
//   begin.cc       BEGIN, answered before any server hears of it
//   fence.cc       reads on replicas and their proof
//   checking.cc    reads that also run on the primary, to compare
//   digest.cc      what is counted of each statement for people: digests, shadow mode
//   log.cc         what the log says of it and of its statements
//   refuse.cc      statements that Waypost itself refuses
//   limits.cc      what is kept for one client is bounded
//   send.cc        batch -> bytes for the server: settings ahead, statement names rewritten
//   settings.cc    settings on a server connection: set ahead, and behind what resets them
//   shape.cc       what statements return: as the client was told, or an error
//   names.cc       the names of prepared statements, ours and the client's
//   own_names.cc   pg_prepared_statements: under the client's names
//   parameters.cc  ParameterStatus
//   audit.cc       what ties the session to its server connection, asked of the server
//   sequence.cc    currval() and lastval(): which session's values a server connection has
//   reply.cc       replies -> client, and what they change in the session
//   answer.cc      batches that the server did not end: errors of ours, a lost server
//   census.cc      what those hear who ask who is there
//   console.cc     a client that is an administrator's: PgBouncer's console
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/client/login.h"
#include "core/console/console.h"
#include "core/env/env.h"
#include "core/env/held_statements.h"
#include "core/env/sequence_readers.h"
#include "core/fence/probe.h"
#include "core/net/backlog.h"
#include "core/net/stream.h"
#include "core/observe/census.h"
#include "core/server/cancel_request.h"
#include "core/server/connection.h"
#include "core/server/pool_set.h"
#include "core/session/batch.h"
#include "core/session/common.h"
#include "core/session/held_reply.h"
#include "core/session/record.h"
#include "core/session/self_check.h"
#include "core/session/server_wait.h"
#include "core/session/sql_reader.h"
#include "metrics/labels.h"
#include "parser/sql/facts.h"
#include "parser/wire/backend.h"
#include "parser/wire/encoding.h"
#include "routing/block.h"
#include "routing/deadline.h"
#include "routing/decide.h"
#include "routing/inbox.h"
#include "routing/lease.h"
#include "routing/name_context.h"
#include "routing/read_proof.h"
#include "routing/session_machine.h"
#include "routing/session_settings.h"
#include "routing/statement_names.h"
#include "routing/ties.h"
#include "routing/transaction_defaults.h"

namespace waypost {

class Session final : public StreamUser,
                      public Waiter,
                      public ReplyUser,
                      public FenceUser,
                      public LoginClient,
                      public ConsoleClient {
 public:
  // `listener`: the name of the one that the client came in by; outlives this.
  Session(Env& env, SessionCommon& common, std::unique_ptr<Stream> stream, std::string peer, std::uint32_t slot,
          std::string_view listener);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // One that goes on here: see leave.cc.
  Session(Env& env, SessionCommon& common, std::unique_ptr<Stream> stream, SessionRecord record, std::uint32_t slot,
          std::string_view listener);

  // From the worker.
  // It goes on elsewhere, by what it leaves in `record`; there is nothing more to do with it here. nullptr, and nothing has
  // changed: it cannot leave now. `for_good`: this process ends.
  [[nodiscard]] std::unique_ptr<DetachedStream> Leave(SessionRecord& record, bool for_good = false);
  // What keeps it from leaving for good, for the log.
  [[nodiscard]] std::string WhyItStays() const;
  // When its client was heard last.
  [[nodiscard]] TimePoint last_active() const { return last_active_; }
  // It is its turn again: see SessionHost::NextTurn.
  void GoOn();
  // The text at the head of its input that is to be analysed elsewhere; nothing: there is none any more.
  [[nodiscard]] std::optional<SqlQuestion> TextToRead();
  // That is done.
  void OnSqlRead(ReadText read);
  void Sweep(TimePoint now);
  // Ends what has taken too long. False: there is no deadline, look no more.
  [[nodiscard]] bool CheckDeadline(TimePoint now);
  // Sends a batch without its end to which nothing has come since `since`: what it runs may have something to say. True: look
  // again.
  [[nodiscard]] bool SendUnended(TimePoint since);
  void OnViewChanged();
  void OnConfigChanged();
  // Closes with 57P01 as soon as nothing is under way; `now`: at once.
  void Drain(bool at_once);
  void Cancel();
  [[nodiscard]] ClientState client_state() const;
  // What ties it to its server connection now; kNone: nothing.
  [[nodiscard]] PinReason pinned_by() const;
  [[nodiscard]] const std::string& database() const { return database_; }
  // Both are empty until it is logged in.
  [[nodiscard]] const std::string& user() const { return user_; }

  // census.cc
  [[nodiscard]] std::uint64_t number() const noexcept override { return past_.number; }
  [[nodiscard]] SessionState state() const;
  [[nodiscard]] TimePoint state_since() const;
  [[nodiscard]] bool Fits(const SessionQuestion& question) const;
  void Describe(SessionRow& row) const;
  [[nodiscard]] SessionDetail DescribeInFull() const;
  // At once: its client is told 57P01, and what it runs is cancelled.
  void End();
  // It is PgBouncer's console: it has no database.
  [[nodiscard]] bool is_console() const { return console_ != nullptr; }

  // LoginClient
  void WriteClient(Bytes bytes) override;
  void Close(const std::string& message, ClientOutcome outcome) override;
  void UseLongSecret() override;
  [[nodiscard]] std::string_view listener() const override { return listener_; }
  void StartTls(const TlsContextRef& context, Bytes read, bool alpn) override;
  [[nodiscard]] std::uint32_t cancel_pid() const override { return cancel_pid_; }
  [[nodiscard]] const std::string& secret() const override { return secret_; }
  void CountedAs(CountedClient who) override { counted_as_ = std::move(who); }
  [[nodiscard]] std::string PeerName() const override { return stream_->PeerName(); }
  [[nodiscard]] std::optional<std::uint32_t> LocalUser() const override { return stream_->LocalUser(); }
  [[nodiscard]] std::optional<CertificateName> PeerCertificate() const override { return stream_->PeerCertificate(); }
  void FindSystemUser(std::uint32_t number, std::function<void(const std::string& name)> done) override;
  void Say(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const override;
  void OnLoggedIn(ClientIdentity identity, const std::string& greeting) override;
  [[nodiscard]] bool WantsConsole(const std::string& user, const std::string& database) const override;
  void OnConsole(const std::string& user, const std::string& database) override;
  [[nodiscard]] bool logged_in() const override { return login_ == nullptr; }
  void OnMoreData(Bytes data) noexcept override { OnData(data); }

  // ConsoleClient
  void WriteToConsole(Bytes bytes) override { WriteClient(bytes); }
  [[nodiscard]] bool ConsoleFull() const override { return client_full_; }
  void PauseConsole(bool pause) override;
  void EndConsole(const std::string& message) override { Close(message, ClientOutcome::kOk); }

  // StreamUser: the client's socket.
  void OnData(Bytes data) noexcept override;
  void OnConnected() noexcept override;
  void OnDrained() noexcept override;
  void OnClosed(const std::string& error) noexcept override;
  // Waiter
  void OnServerConnection(PooledConnection& pooled) noexcept override;
  void OnNoServerConnection(std::string_view sqlstate, const std::string& error) noexcept override;
  void OnServerUnreachable() noexcept override;
  // FenceUser
  void OnReadIndex(Lsn index) noexcept override;
  void OnReplayed() noexcept override;
  void OnFenceLate() noexcept override;
  [[nodiscard]] bool WaitsForItself() const noexcept override;
  void OnWaitsForItself() noexcept override;
  void OnFenceVoid() noexcept override;
  void OnSettled() noexcept override;
  // ReplyUser
  Relayed OnReply(const Answer& answer, FrameHeader header, Bytes body, std::string& replacement) noexcept override;
  void OnSynthesised(char type, std::uint64_t sequence, std::string& out) noexcept override;
  void OnForward(Bytes bytes) noexcept override;
  void OnBatchDone(char status) noexcept override;
  void OnServerDrained() noexcept override;
  void OnRelayed() noexcept override;
  void OnCancelEnded() noexcept override;
  void OnOwnDone() noexcept override;
  void OnServerLost(const std::string& error, bool mid_message) noexcept override;

 private:
  // session.cc
  void BeginPast();
  void Take(const Event& event);
  void NoteUnexpected(const Event& event);
  void Carry(Do verb);
  void Acquire();
  [[nodiscard]] bool HeldByPause() const;
  void AwaitPrimary();
  [[nodiscard]] bool LeavesTheUnreachable();
  void GoOnInTouch();
  [[nodiscard]] bool LeavesTheSilent(TimePoint now);
  void RefuseHeld(HoldOutcome outcome, std::string_view message);
  void StopWaiting(std::string_view why);
  bool CancelBatch();
  void CancelAgain();
  void CancelUntilEnded();
  void WatchUntil(TimePoint deadline);
  [[nodiscard]] bool MidMessage() const;
  void LetGo(bool clean);
  void FinishBatch(char status);
  void CountDecision(const Decision& decision);
  [[nodiscard]] Asker Who() const { return {user_, database_, application_, listener_}; }
  template <class S>
  [[nodiscard]] bool In() const {
    return std::holds_alternative<S>(state_);
  }

  // leave.cc
  [[nodiscard]] bool MayLeave(bool for_good) const;
  [[nodiscard]] bool MayBeShared(const Statement& statement, bool for_good) const;

  // input.cc
  void ProcessInput();
  void Process(Bytes& in);
  [[nodiscard]] bool Accepts(char type) const;
  [[nodiscard]] bool MustPause() const;
  bool TakeMessage(Bytes& in);
  [[nodiscard]] bool MayAwaitCopyData() const;
  void SendGathered();
  void StreamCopyData(Bytes& in);
  bool TakeLarge(FrameHeader header, Bytes& in);
  void Add(FrameHeader header, Bytes message);
  void Dispatch();
  [[nodiscard]] bool Unended() const;
  void AwaitEnd();
  [[nodiscard]] const RoutingPolicy& Policy() const;
  [[nodiscard]] Decision DecideBatch();
  void NoteBegin();
  [[nodiscard]] SessionFacts FactsOfSession() const;
  void Misbehaved(std::string_view message);
  Batch& batch();
  // What is to be looked into of a message: its text, or what it names.
  struct LongText {
    std::string_view text;
    SqlRef kept;  // null: the text is new
  };
  [[nodiscard]] std::optional<LongText> LongTextIn(char type, Bytes body) const;
  [[nodiscard]] bool Reads(const LongText& text) const;
  [[nodiscard]] bool MustBeRead(char type, Bytes body);

  // classify.cc
  void Classify(BatchMessage& message, Bytes body);
  void ClassifyParse(BatchMessage& message, Bytes body);
  void ClassifyBind(BatchMessage& message, Bytes body);
  void ClassifyClosePortal(std::string_view name);
  void ClassifyStatement(const CachedStatement& found, bool runs);
  void ClassifyEffect(const Facts& facts);
  void CombineClass(Class cls, Reason why);
  [[nodiscard]] const CachedStatement& Look(std::string_view sql);
  [[nodiscard]] const CachedStatement& Look(const SqlRef& sql);
  void FindContext();
  [[nodiscard]] NamePlace FindPlace();

  // explain.cc
  bool AnswerRouteQuestion(BatchMessage& message, Bytes body);
  [[nodiscard]] std::string RouteAnswerFor(std::string_view question);
  // rules.cc
  [[nodiscard]] const TextMarks& MarksOf(const CachedStatement& found);
  [[nodiscard]] bool Treat(BatchMessage& message, const CachedStatement& found, bool runs);
  [[nodiscard]] std::vector<const Rule*> RulesOf(const CachedStatement& found);
  void CountRule(std::size_t index);
  [[nodiscard]] std::string DenialBy(const Rule& rule) const;
  void WatchTimeout();

  // begin.cc
  struct Lone {
    const Facts* facts = nullptr;
    std::string_view text;
  };
  // The statement of a batch that is one statement alone, in a form that cannot fail before it runs; empty if it is not.
  // Valid as long as the batch.
  [[nodiscard]] Lone LoneStatement() const;
  // True if the batch needs no server (yet) and was answered.
  bool KeepBatch();
  [[nodiscard]] bool ChainsBehindFailure();
  void AnswerKept();
  void AppendBegin(std::string& out);
  [[nodiscard]] SessionFacts::Opens Opens() const;

  // fence.cc
  void JoinFence();
  void LeaveFence();
  void AwaitReplica();
  void FallBack();
  void SettleFirst();
  // It waits for the fence, wherever it will run.
  [[nodiscard]] bool Proving() const;
  // It waits to settle, for a moment, on the connection that it holds.
  [[nodiscard]] bool SettlesHere() const;
  void LeaveReplica(std::string_view why);
  void GiveUpFence(std::string_view sqlstate, std::string_view message);
  [[nodiscard]] bool MaySendOn(const ServerConnection& connection);
  void Confirm();
  void Refute();
  void Discard();
  void CutShort(TimePoint now);
  void CountFence(FenceOutcome outcome);
  [[nodiscard]] bool ProvesParts() const;
  void SendPart();

  // checking.cc
  void Sample(Decision& decision);
  void WaitForCheck(Duration longest);
  bool CheckFrom(Lsn index);
  void SendUnproved();
  [[nodiscard]] bool Compare(char status);
  [[nodiscard]] bool GoOnWithCheck(SelfCheck::Next next, char status);
  void ComparePosition();
  void NameAgain();
  void AnswerUnchecked();
  void GiveUpCheck();
  void EndCheck(SelfCheckOutcome outcome);
  [[nodiscard]] std::string_view TextOfBatch() const;
  [[nodiscard]] bool AnswersVary() const;
  // An answer is at hand, and the primary's is to be compared with it.
  [[nodiscard]] bool Comparing() const { return check_ != nullptr && check_->answered(); }

  // log.cc
  [[nodiscard]] std::string LogId() const;
  // "127.0.0.1:5432"; "" if nobody knows any more. Asked for when it is first needed.
  [[nodiscard]] const std::string& Peer() const;
  void TimeWait(Batch::Wait wait);
  void EndWait();
  void NoteSqlState(std::string_view sqlstate);
  void TellBatch();
  void LogBatch(TimePoint now);
  void TraceBatch(TimePoint now);
  void FollowBatch(TimePoint now);
  [[nodiscard]] std::string TextWithoutLiterals(std::size_t most);
  [[nodiscard]] std::uint64_t RowsOfBatch() const;
  [[nodiscard]] std::string LoggedText();

  // digest.cc
  [[nodiscard]] DigestNote NoteOf(const CachedStatement& found);
  void NoteRun(DigestNote note);
  void CountCompletion(const Answer& answer, char type, Bytes body);
  void CountBatch(const Decision& decision, Duration took);
  void CountTraffic(char status, TimePoint now);
  void CountError(bool ours);
  void CountShadow(const Batch& running, const Decision& decision);
  // move.cc
  void NoteMovable();
  [[nodiscard]] bool BlockMayMove() const;
  void MoveBlock();
  [[nodiscard]] bool PreparesElsewhere();

  // cut.cc
  [[nodiscard]] bool EndsApart() const;
  bool TakePart(Bytes query, Bytes& in);
  bool CutsSeries(char type, Bytes body);
  [[nodiscard]] bool Prepares(char type, Bytes body);
  [[nodiscard]] bool EndsBlockAlone() const;
  [[nodiscard]] bool OnlyReadies() const;
  void DropRest(bool query);

  // refuse.cc
  // The batch fails at `message`, with `error`, a whole ErrorResponse; while it is classified. The first of a batch counts.
  void Refuse(BatchMessage& message, std::string error);
  // `message` ties the session to its server connection, if it succeeds; it is refused where that must not be.
  void NotePin(BatchMessage& message, PinReason pin, bool unlisted);
  [[nodiscard]] std::string WhyNoPin(PinReason pin) const;
  void AppendRefused(std::string& out, char type);
  void RefuseReshaped(std::string& out);

  // limits.cc
  // True, and `message` is refused, if what `sql` leaves would be more than the session may have.
  bool RefusesTooMuch(BatchMessage& message, const SqlRef& sql);
  void RefuseTooMuch(BatchMessage& message, std::string error);
  [[nodiscard]] std::string WhyTooMuch(const std::vector<Facts>& list);
  [[nodiscard]] std::string WhyNoStatement(std::size_t bytes);
  [[nodiscard]] std::string WhyNoPortal(std::string_view name) const;

  // audit.cc
  // What the batch at hand, that ends with `status`, leaves for BatchDone to say of pins.
  [[nodiscard]] BatchDone PinsAfter(char status);
  [[nodiscard]] bool OnReplica() const;
  void SendAudit();
  void EndAudit();
  void AdoptSettings(AuditReport&& report);
  void CountPin();
  [[nodiscard]] static bool MayEndPin(const std::vector<Facts>& list);
  [[nodiscard]] bool Unlisted(const CachedStatement& found, std::string_view sql) const;

  // sequence.cc
  void NoteSequences(const CachedStatement& found);
  void ReadsSequence();
  // True if sessions of this user and database were seen asking for currval() or lastval() not long ago.
  [[nodiscard]] bool ReadsSequences();
  void AppendSequences(std::string& out);
  void ForgetSequences();

  // send.cc
  void Send();
  void Append(std::string& out, BatchMessage& message);
  void TrimStatements(std::string& out);
  void CloseStatements(std::string& out);
  void AppendQueryMessage(std::string& out, BatchMessage& message);
  void AppendParse(std::string& out, BatchMessage& message, Bytes body);
  void AppendBind(std::string& out, BatchMessage& message, Bytes body);
  void AppendTarget(std::string& out, BatchMessage& message, Bytes body);
  // `name`: what the client calls it.
  void EnsureStatement(std::string& out, const StatementRef& statement, std::string_view name, bool taints = false);
  void EnsureUnnamed(std::string& out);
  [[nodiscard]] std::optional<ParsedThere> Before(std::uint64_t id) const;
  [[nodiscard]] bool DescribedAsRollback(const StatementRef& statement, bool unnamed) const;
  void EnsureRollback(std::string& out);
  void StreamLarge(FrameHeader header, Bytes body);
  void SendToServer(Bytes bytes);
  void AddEffect(Effect effect);

  // settings.cc
  void AppendSettings(std::string& out);
  void ParseAsBefore(std::string& out);
  void SetAsBefore(std::string& out, const Statement& statement);
  void SetAsNow(std::string& out);
  void AddRestores(const SqlText& sql, std::vector<TextEdit>& edits, std::vector<std::uint32_t>& aside) const;
  void AppendRestores(std::string& out, const SqlText& sql);

  // shape.cc
  enum class Fate : std::uint8_t { kSend, kWait, kRefuse };
  [[nodiscard]] Fate FateOf(std::string& out, std::size_t index);
  [[nodiscard]] Fate FateOf(std::string& out, const StatementRef& told, std::string_view name, bool asks);
  [[nodiscard]] Fate FateOfLarge(Bytes names);
  [[nodiscard]] bool AsksShape(std::size_t index) const;
  [[nodiscard]] StatementRef Retold(const StatementRef& statement) const;
  [[nodiscard]] bool HasStatement(const StatementRef& statement, std::string_view name) const;
  [[nodiscard]] bool WantsShape(const Statement& statement) const;
  [[nodiscard]] static bool MayBeReshaped(const Statement& statement);
  [[nodiscard]] bool IsAsked(const StatementRef& statement) const;
  void AskShape(std::string& out, const StatementRef& statement, std::string_view name, bool tells);
  void NoteShape(const StatementRef& statement, bool unnamed, std::optional<std::string_view> told, std::uint64_t sequence);
  void Described(const Effect& effect, char type, Bytes body);
  void EndAsking(const Effect& effect);
  static void AppendReshaped(std::string& out);
  void MarkStale(const BatchMessage& message);

  // names.cc
  [[nodiscard]] static std::string_view NameIn(const Batch& batch, const BatchMessage& message);
  [[nodiscard]] std::vector<TextEdit> ServerNamesIn(std::string& out, const BatchMessage& message, const SqlText& sql,
                                                    std::string_view text);
  [[nodiscard]] std::string Edited(std::string_view text, std::vector<TextEdit> edits);
  void RenamedIn(std::uint64_t sequence);
  [[nodiscard]] std::string WithClientPosition(std::string_view error, const Answer& answer) const;
  [[nodiscard]] std::string WithClientNames(std::string_view error, const Answer& answer) const;

  // own_names.cc
  [[nodiscard]] bool ExecutesListing(const std::vector<Facts>& list);
  void TakeOwnNames(std::string& out);
  void TryStatement(std::string& out, const StatementRef& statement, std::string_view name);
  [[nodiscard]] std::string_view NameThere(const Statement& statement, std::string_view name) const;
  void AddStatement(const StatementRef& statement, std::string_view name, std::uint64_t sequence);
  void ForgetOwnName(std::string_view name);

  // databases.cc
  void ClaimDatabases();
  void YieldDatabases();
  void RenewDatabases(const std::vector<std::string>& names);

  // parameters.cc
  void OnParameter(std::string_view name, std::string_view value);
  [[nodiscard]] bool TellsParameter(std::string_view name, std::string_view value);
  void AppendParametersReset(std::string& out);
  [[nodiscard]] std::string WithWholeDateStyle(const std::string& sql) const;

  // reply.cc
  Relayed OnError(const Answer& answer, Bytes body, std::string& replacement);
  Relayed OnNotice(Bytes body);
  [[nodiscard]] bool RefusesCommit() const;
  void AppendUnreplicated(std::string& out);
  void WithClientPid(Bytes body, std::string& replacement) const;
  void SettingsFailed(Bytes body, bool begin);
  void ReleaseHeld();
  [[nodiscard]] bool PlanChanged(const Answer& answer, const ErrorView& error) const;
  [[nodiscard]] bool MayHeal(std::string_view sqlstate) const;

  // effects.cc
  // False: the message answers a statement of ours within the client's text.
  bool RunEffects(const Answer& answer, char type, Bytes body);
  [[nodiscard]] std::uint64_t Answered() const { return batch_->effects[batch_->effect].sequence; }
  void UndoSkipped(std::size_t end);
  void Undo(Effect& effect, bool failed);
  void Apply(const SqlRef& sql, const Facts& facts, std::string_view tag);
  void ApplySetting(SettingEffect effect);
  void ApplyTransaction(const Facts& facts, std::string_view tag);
  void ApplyDeallocate(const Facts& facts);
  [[nodiscard]] static bool AsksSettings(StatementKind kind);
  [[nodiscard]] static bool JoinsSeries(const SettingEffect& effect);
  // What was answered of settings so far comes into force here; before anybody asks what is set.
  void SettleSettings();
  void SettingsChanged();
  void CatalogChanged(CatalogChange change);
  void TransactionEnded();

  // answer.cc
  void AnswerBatch(const std::string& error, char status);
  void AppendOwnAnswers(std::string& out, std::string_view tag);
  void AnswerRollback();
  void AnswerReadied();
  void ForgetTransaction();
  void EndBatch();
  void RewindBatch(bool unseen);
  [[nodiscard]] bool EndsClientToo() const;
  [[nodiscard]] bool RunsAgain() const;
  [[nodiscard]] bool MayRunElsewhere() const;
  [[nodiscard]] std::string WhyLost(const std::string& error) const;
  void LoseConnection();
  void Lost(bool ready_due, bool partial);
  [[nodiscard]] bool EndWaits() const;

  Env& env_;
  SessionCommon& common_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<ClientLogin> login_;  // until logged in
  mutable std::string peer_;       // "": see Peer()
  std::uint32_t slot_;
  std::uint32_t cancel_pid_;      // and secret: its cancel key
  std::string secret_;
  std::string user_, database_;
  CountedClient counted_as_;
  std::string application_;       // application_name as the server last told it
  std::shared_ptr<const Parameters> greeted_;  // ParameterStatus at log-in,
  Parameters told_;                // and what the client was told since
  std::string_view listener_;
  bool shaking_hands_ = false;  // TLS began and is not open yet
  Deadline deadline_;              // of the batch under way; the worker looks
  // What the configuration says of it; a rule or a hint may have its own, see Policy().
  struct {
    RoutingPolicy routing;
    PoolPolicy pool;
    RuleMask rules = 0;  // whose conditions on the session hold
  } policy_;

  State state_ = Idle{};
  ServerConnection* connection_ = nullptr;
  Lease lease_;                    // of that
  ServerWait wait_{*this};
  Hold hold_;                      // since the batch at hand has waited for a primary first
  std::vector<Pool*> pools_;       // by ServerId, found once

  Backlog input_;                  // what came and cannot be looked at yet
  bool rests_ = false;             // enough was looked at for this turn of the loop
  bool waits_for_reader_ = false;  // the text at the head of the input is analysed off the loop,
  ReadText read_;                  // or was
  bool names_long_texts_ = false;  // a Bind may name one
  bool cancel_when_read_ = false;  // a cancel request came meanwhile
  std::size_t looked_into_ = 0;    // bytes of texts that this turn's messages name
  std::unique_ptr<Batch> batch_;
  Inbox inbox_;                    // where it is in that
  std::size_t query_done_ = 0;     // bytes of the text of the Query at the head of the input: its first part, that ran
  bool processing_ = false;
  bool draining_ = false;
  bool closed_ = false;
  bool client_full_ = false;       // the client does not take its answers: nothing new is begun for it
  std::optional<bool> ready_due_;  // of a batch that was sent: ReadyForQuery is owed; empty: it was not sent

  ReadProof proof_;                // while it is at the fence

  std::unique_ptr<SelfCheck> check_;  // of the batch under way; null: it is not checked
  HeldReply held_;                 // what the client does not get yet of the answer
  std::string failure_;            // ErrorResponse for AnswerBatch
  std::string untold_;             // why the block failed, while the client was not told yet

  SessionSettings settings_;
  std::vector<SettingEffect> unapplied_;  // of statements that have succeeded, while replies are read
  Parameters only_at_start_;       // what it asked for that no statement can set: see PoolKey
  StatementNames names_;
  std::size_t named_bytes_ = 0;    // of what it named, at least
  Portals portals_;                // of the transaction: named ones alone
  Lexing lexing_;
  NameContext name_context_;
  CatalogChange ddl_pending_ = CatalogChange::kNone;  // DDL ran; it counts when its transaction ends
  bool starts_read_committed_ = false;  // at log-in
  TransactionDefaults transaction_defaults_;
  Block block_;                    // the one at hand, or what is left of the one before
  Ties ties_;                      // to the connection at hand
  std::uint64_t sequence_readers_ = 0;    // the version when it was asked who asks for currval()
  SequenceReaders::AskedRef sequence_asked_;  // when this session's like did; null: never
  PinReason counted_pin_ = PinReason::kNone;
  TimePoint last_active_{};
  std::unique_ptr<Console> console_;  // it is one; null: it is not
  TrafficCounts* traffic_;         // of its database
  TimePoint transaction_began_{};  // of the one under way; {}: there is none
  SessionPast past_;               // for those who look,
  DigestNote last_note_ = 0;       // and what runs or ran last here, if it is counted
  bool out_of_touch_ = false;  // its input waits until the servers were looked at again
  bool awaits_end_ = false;        // the worker looks whether more comes of the batch,
  TimePoint unended_since_{};      // to which something came last now
};

}  // namespace waypost
