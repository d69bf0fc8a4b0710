import java.sql.Connection;
import java.sql.SQLException;
import java.time.Duration;
import org.apache.commons.dbcp2.DriverManagerConnectionFactory;
import org.apache.commons.dbcp2.PoolableConnection;
import org.apache.commons.dbcp2.PoolableConnectionFactory;
import org.apache.commons.dbcp2.PoolingDataSource;
import org.apache.commons.pool2.impl.GenericObjectPool;
import org.apache.commons.pool2.impl.GenericObjectPoolConfig;

/** A connection pool with the settings that Openfire's DefaultConnectionProvider makes after its wizard. */
final class Pool implements AutoCloseable {
  private final GenericObjectPool<PoolableConnection> pool;
  private final PoolingDataSource<PoolableConnection> source;

  Pool(String url, boolean testBeforeUse) {
    var factory =
        new PoolableConnectionFactory(
            new DriverManagerConnectionFactory(url, "openfire", "openfire"), null);
    factory.setValidationQuery("select 1");
    factory.setValidationQueryTimeout(Duration.ofMillis(500));
    factory.setMaxConn(Duration.ofDays(1));
    var config = new GenericObjectPoolConfig<PoolableConnection>();
    config.setTestOnBorrow(testBeforeUse);
    config.setMinIdle(5);
    config.setMaxTotal(25);
    config.setMaxIdle(8);
    config.setTimeBetweenEvictionRuns(Duration.ofSeconds(30));
    config.setSoftMinEvictableIdleDuration(Duration.ofMinutes(15));
    config.setMaxWait(Duration.ofSeconds(20)); // Openfire: 500 ms and 11 tries
    pool = new GenericObjectPool<>(factory, config);
    factory.setPool(pool);
    source = new PoolingDataSource<>(pool);
  }

  Connection get() throws SQLException {
    return source.getConnection();
  }

  @Override
  public void close() throws Exception {
    source.close();
    pool.close();
  }
}
