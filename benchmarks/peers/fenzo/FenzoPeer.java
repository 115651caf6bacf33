// Fenzo's scheduleOnce as a process: rows are told once, then each line `match` is one call of a fresh scheduler.
// In:  TASKS OFFERS, then a line `cpu memory gpu` per row, tasks first. Out: `ready`, then per call a line of offers'
// numbers by task, -1 where none. One task per offer; of all offers that fit the one that is left with the least.
import com.netflix.fenzo.ConstraintEvaluator;
import com.netflix.fenzo.SchedulingResult;
import com.netflix.fenzo.TaskAssignmentResult;
import com.netflix.fenzo.TaskRequest;
import com.netflix.fenzo.TaskScheduler;
import com.netflix.fenzo.TaskTrackerState;
import com.netflix.fenzo.VMAssignmentResult;
import com.netflix.fenzo.VMTaskFitnessCalculator;
import com.netflix.fenzo.VirtualMachineCurrentState;
import com.netflix.fenzo.VirtualMachineLease;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.StringTokenizer;
import org.apache.mesos.Protos;

public final class FenzoPeer {
  private static final class Task implements TaskRequest {
    final String id;
    final double[] asked;
    private AssignedResources assigned;

    Task(int number, double[] asked) {
      this.id = Integer.toString(number);
      this.asked = asked;
    }

    @Override public String getId() { return id; }
    @Override public String taskGroupName() { return ""; }
    @Override public double getCPUs() { return asked[0]; }
    @Override public double getMemory() { return asked[1]; }
    @Override public double getNetworkMbps() { return 0; }
    @Override public double getDisk() { return 0; }
    @Override public int getPorts() { return 0; }
    @Override public Map<String, Double> getScalarRequests() { return Collections.singletonMap("gpu", asked[2]); }
    @Override public Map<String, NamedResourceSetRequest> getCustomNamedResources() { return Collections.emptyMap(); }
    @Override public List<? extends ConstraintEvaluator> getHardConstraints() { return ALONE; }
    @Override public List<? extends VMTaskFitnessCalculator> getSoftConstraints() { return Collections.emptyList(); }
    @Override public void setAssignedResources(AssignedResources resources) { assigned = resources; }
    @Override public AssignedResources getAssignedResources() { return assigned; }
  }

  private static final class Lease implements VirtualMachineLease {
    final String id;
    final double[] free;

    Lease(int number, double[] free) {
      this.id = Integer.toString(number);
      this.free = free;
    }

    @Override public String getId() { return id; }
    @Override public long getOfferedTime() { return System.currentTimeMillis(); }
    @Override public String hostname() { return id; }
    @Override public String getVMID() { return id; }
    @Override public double cpuCores() { return free[0]; }
    @Override public double memoryMB() { return free[1]; }
    @Override public double networkMbps() { return 0; }
    @Override public double diskMB() { return 0; }
    @Override public List<Range> portRanges() { return Collections.emptyList(); }
    @Override public Protos.Offer getOffer() { return null; }
    @Override public Map<String, Protos.Attribute> getAttributeMap() { return Collections.emptyMap(); }
    @Override public Double getScalarValue(String name) { return "gpu".equals(name) ? free[2] : 0.0; }
    @Override public Map<String, Double> getScalarValues() { return Collections.singletonMap("gpu", free[2]); }
  }

  private static final List<ConstraintEvaluator> ALONE =
      Collections.singletonList(
          new ConstraintEvaluator() {
            @Override public String getName() { return "alone"; }

            @Override
            public Result evaluate(TaskRequest task, VirtualMachineCurrentState vm, TaskTrackerState tracker) {
              return new Result(vm.getTasksCurrentlyAssigned().isEmpty(), "in use");
            }
          });

  private static final class LeastLeft implements VMTaskFitnessCalculator {
    private final double[] most = {1, 1, 1};
    private final double[][] offers;

    LeastLeft(double[][] offers) {
      this.offers = offers;
      for (int d = 0; d < 3; ++d) {
        double largest = 0;
        for (double[] offer : offers) largest = Math.max(largest, offer[d]);
        if (largest > 0) most[d] = largest;
      }
    }

    @Override public String getName() { return "least left"; }

    @Override
    public double calculateFitness(TaskRequest task, VirtualMachineCurrentState vm, TaskTrackerState tracker) {
      double[] free = offers[Integer.parseInt(vm.getHostname())];
      double[] asked = ((Task) task).asked;
      double left = 0;
      for (int d = 0; d < 3; ++d) left += (free[d] - asked[d]) / most[d];
      return 1 - left / 4;  // above 0, for 0 is a refusal
    }
  }

  private static int[] match(double[][] tasks, double[][] offers) {
    TaskScheduler scheduler =
        new TaskScheduler.Builder()
            .withFitnessCalculator(new LeastLeft(offers))
            .withFitnessGoodEnoughFunction(fitness -> fitness > 1.0)  // never: all are looked at
            .withLeaseOfferExpirySecs(1_000_000)
            .withLeaseRejectAction(lease -> {})
            .disableShortfallEvaluation()
            .build();
    try {
      List<TaskRequest> requests = new ArrayList<>(tasks.length);
      List<VirtualMachineLease> leases = new ArrayList<>(offers.length);
      for (int i = 0; i < tasks.length; ++i) requests.add(new Task(i, tasks[i]));
      for (int i = 0; i < offers.length; ++i) leases.add(new Lease(i, offers[i]));
      int[] found = new int[tasks.length];
      Arrays.fill(found, -1);
      SchedulingResult result = scheduler.scheduleOnce(requests, leases);
      for (Exception exception : result.getExceptions()) throw new IllegalStateException(exception);
      for (VMAssignmentResult vm : result.getResultMap().values()) {
        for (TaskAssignmentResult task : vm.getTasksAssigned()) {
          found[Integer.parseInt(task.getTaskId())] = Integer.parseInt(vm.getHostname());
        }
      }
      return found;
    } finally {
      scheduler.shutdown();
    }
  }

  private static double[][] rows(BufferedReader in, int count) throws Exception {
    double[][] rows = new double[count][3];
    for (double[] row : rows) {
      StringTokenizer words = new StringTokenizer(in.readLine());
      for (int d = 0; d < 3; ++d) row[d] = Double.parseDouble(words.nextToken());
    }
    return rows;
  }

  public static void main(String[] arguments) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    PrintStream out = new PrintStream(System.out, false);
    StringTokenizer sizes = new StringTokenizer(in.readLine());
    int count = Integer.parseInt(sizes.nextToken());
    double[][] tasks = rows(in, count), offers = rows(in, Integer.parseInt(sizes.nextToken()));
    double[][] few = Arrays.copyOf(tasks, Math.min(300, tasks.length));
    double[][] some = Arrays.copyOf(offers, Math.min(300, offers.length));
    for (int round = 0; round < 5; ++round) match(few, some);  // lets the machine's compiler do its work
    out.println("ready");
    out.flush();
    while ("match".equals(in.readLine())) {
      StringBuilder line = new StringBuilder();
      for (int offer : match(tasks, offers)) line.append(offer).append(' ');
      out.println(line);
      out.flush();
    }
  }
}
